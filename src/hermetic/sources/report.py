"""What every source of SEV-SNP reports does with one: see that it answers what was asked, and read the host's table.

Nothing is verified here.  A source that hands out somebody else's report would only be found out by the verifier, far
away; here it can be asked again.
"""

from __future__ import annotations

from hermetic.errors import Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle, SnpReport
from hermetic.sources.certificate_table import read_certificate_table

__all__ = ["report_bundle"]


def report_bundle(report: bytes, table: bytes, *, report_data: bytes) -> EvidenceBundle:
    """``report`` as a bundle, with the certificates that the host offers in ``table`` (empty for none).

    Raises Malformed where either cannot be read, Unavailable where the report is over other report data.
    """
    if SnpReport.from_bytes(report).report_data != report_data:
        raise Unavailable("the report is over other report data than was asked for", code="device_disturbed")
    return EvidenceBundle(tee=SEV_SNP, evidence=report, endorsements=read_certificate_table(table))
