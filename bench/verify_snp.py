"""What it costs to verify one SEV-SNP report with its whole chain and revocation list.

    python -m bench.verify_snp [--rounds N]      prints one JSON object, times in milliseconds

``known``: a new report from a chip whose certificates were seen before, as a broker or a returning client meets it.
``first_sight``: nothing is remembered; three certificates, a list and four signatures more.  ``cryptography``: the five
signatures alone, without reading or judging anything.  The three take turns, and the ratio is taken within a round, so
that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hermetic.evidence import EvidenceBundle, SnpReport
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.verify import simulated_root, verify
from hermetic.verify.chain import require_issued, require_listed_by

NOW = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
_REMEMBERING = (load_certificate, load_crl, require_issued, require_listed_by)


def forget() -> None:
    for function in _REMEMBERING:
        function.cache_clear()


def signatures(bundle: EvidenceBundle) -> Callable[[], None]:
    """The five signatures of ``bundle``, everything parsed beforehand."""
    leaf, intermediate, root = (
        x509.load_der_x509_certificate(bundle.endorsements[name]) for name in ("leaf", "intermediate", "root")
    )
    crl = x509.load_der_x509_crl(bundle.endorsements["crl"])
    report, signed = SnpReport.from_bytes(bundle.evidence), bundle.evidence[:0x2A0]
    signature = encode_dss_signature(report.signature.r, report.signature.s)
    chip, ark = leaf.public_key(), root.public_key()
    assert isinstance(chip, ec.EllipticCurvePublicKey)
    assert isinstance(ark, rsa.RSAPublicKey)

    def check() -> None:
        root.verify_directly_issued_by(root)
        intermediate.verify_directly_issued_by(root)
        leaf.verify_directly_issued_by(intermediate)
        crl.is_signature_valid(ark)
        chip.verify(signature, signed, ec.ECDSA(hashes.SHA384()))

    return check


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        vendor = SimulatedAmd.load_or_create(Path(folder), now=NOW)
    roots = (simulated_root(vendor.root_digest),)
    known, first_sight, alone = [], [], []
    for _ in range(rounds):
        report_data = os.urandom(64)
        bundle = vendor.issue(report_data, host_data=bytes(32), now=NOW)

        def whole(bundle: EvidenceBundle = bundle, report_data: bytes = report_data) -> object:
            return verify(bundle, roots=roots, now=NOW, report_data=report_data)

        forget()
        first_sight.append(timed(whole))
        known.append(timed(whole))
        alone.append(timed(signatures(bundle)))
    return {
        "name": "verify_snp",
        "unit": "ms",
        "rounds": rounds,
        "known": {"median": statistics.median(known), "p99": statistics.quantiles(known, n=100)[98]},
        "first_sight": {"median": statistics.median(first_sight), "p99": statistics.quantiles(first_sight, n=100)[98]},
        "cryptography": {"median": statistics.median(alone)},
        "first_sight_over_cryptography": statistics.median(
            whole / crypto for whole, crypto in zip(first_sight, alone, strict=True)
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    print(json.dumps(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
