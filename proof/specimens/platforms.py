"""Attestation reports: evidence together with the keys and the launch document that it binds, as one JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from hermetic.identity import AttestationReport, Binding, Purpose, verify_report
from hermetic.verify import Root
from identity_support import keyset, launch
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, timed
from snp_support import NOW, issue, roots
from snp_support import simulated as simulated_amd

DOCUMENT = "attestation report"


def simulated() -> Iterator[Specimen]:
    """A workload on a simulated Genoa."""
    amd, keys, document = simulated_amd(), keyset(), launch()
    binding = Binding(
        purpose=Purpose.SESSION, nonce=b"n" * 32, keyset_digest=keys.digest, launch_digest=document.digest
    )
    evidence = issue(
        amd,
        report_data=binding.report_data(),
        host_data=bytes.fromhex(document.digest.removeprefix("sha256:")),
    )
    report = AttestationReport(binding=binding, keyset=keys, launch=document, evidence=evidence)
    yield Specimen(
        name="simulated/report-over-sev-snp",
        tee=DOCUMENT,
        recorded=False,
        evidence="document",
        parts={"document": report.to_bytes(), ASKED: binding.nonce, AT: timed(NOW)},
        judge=partial(_judge, roots(amd)),
    )


def _judge(pinned: tuple[Root, ...], parts: Parts) -> object:
    report = AttestationReport.from_bytes(parts["document"])
    claims = verify_report(
        report,
        roots=pinned,
        now=datetime.fromisoformat(parts[AT].decode()),
        purpose=Purpose.SESSION,
        nonce=parts.get(ASKED),
    )
    checks = [(check.name, check.outcome) for check in claims.checks]
    return (claims.keyset, claims.launch, claims.binding, checks)
