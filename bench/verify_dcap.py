"""What it costs to verify one recorded TDX quote with its collateral, beside what dcap-qvl alone costs.

    python -m bench.verify_dcap [--rounds N]      prints one JSON object, times in milliseconds

``known``: a quote from a platform whose certificates and collateral were seen before.  ``first_sight``: nothing is
remembered.  Both include the second opinion, which is dcap-qvl's; ``dcap_qvl`` is that alone, reading its collateral
included.  The three take turns within a round, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dcap_qvl

from hermetic.evidence import TDX, EvidenceBundle
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.verify import INTEL_ROOTS, verify
from hermetic.verify._dcap_collateral import _require_signed
from hermetic.verify.chain import require_issued, require_listed_by
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info

VECTORS = Path(os.environ.get("HERMETIC_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))
FOLDER = VECTORS / "attestation" / "tdx" / "v5-90c06f000000-go-tdx-guest-cf77a6"
COLLATERAL = "collateral-2026-03-09-UpToDate.json"
_REMEMBERING = (
    load_certificate,
    load_crl,
    load_tcb_info,
    load_qe_identity,
    _require_signed,
    require_issued,
    require_listed_by,
)


def bundle_of(quote: bytes, given: dict[str, str]) -> EvidenceBundle:
    answer = '{{"{}":{},"signature":"{}"}}'
    endorsements = {
        "tcb_info": answer.format("tcbInfo", given["tcb_info"], given["tcb_info_signature"]).encode(),
        "tcb_info_chain": given["tcb_info_issuer_chain"].encode(),
        "qe_identity": answer.format("enclaveIdentity", given["qe_identity"], given["qe_identity_signature"]).encode(),
        "qe_identity_chain": given["qe_identity_issuer_chain"].encode(),
        "pck_crl": bytes.fromhex(given["pck_crl"]),
        "pck_crl_chain": given["pck_crl_issuer_chain"].encode(),
        "root_crl": bytes.fromhex(given["root_ca_crl"]),
    }
    return EvidenceBundle(tee=TDX, evidence=quote, endorsements=endorsements)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(rounds: int) -> dict[str, Any]:
    quote = (FOLDER / "quote.bin").read_bytes()
    recorded = json.loads((FOLDER / COLLATERAL).read_text(encoding="utf-8"))
    bundle, text = bundle_of(quote, recorded["collateral"]), json.dumps(recorded["collateral"])
    now = datetime.fromtimestamp(recorded["now"], UTC)

    def whole() -> object:
        return verify(bundle, roots=INTEL_ROOTS, now=now, report_data=None)

    def alone() -> object:
        return dcap_qvl.verify(quote, dcap_qvl.QuoteCollateralV3.from_json(text), recorded["now"])

    times: dict[str, list[float]] = {"first_sight": [], "known": [], "dcap_qvl": []}
    for _ in range(rounds):
        for function in _REMEMBERING:
            function.cache_clear()
        for name, work in (("first_sight", whole), ("known", whole), ("dcap_qvl", alone)):
            times[name].append(timed(work))
    figures = {
        name: {"median": statistics.median(taken), "p99": statistics.quantiles(taken, n=100)[98]}
        for name, taken in times.items()
    }
    sizes = {"quote": len(quote), "collateral": sum(map(len, bundle.endorsements.values()))}
    return {"name": "verify_dcap", "unit": "ms", "rounds": rounds, "bytes": sizes, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    print(json.dumps(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
