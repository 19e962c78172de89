"""What it costs to verify one NVIDIA report with its chain, and one reference integrity manifest.

    python -m bench.verify_nvidia [--rounds N]      prints one JSON object, times in milliseconds

On recorded evidence of a Hopper GPU (``report``, five certificates, without manifests; ``manifest``; ``whole``: the
report with driver and VBIOS manifest).  ``first_sight``: nothing is remembered.  ``known``: the certificates and
manifests were seen before, as a broker or a returning client meets them; the report's own signature is verified again
each time.  All take turns within a round, so that a busy machine slows all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from hermetic.evidence import x509
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.evidence.pem import certificates_from_pem
from hermetic.verify import chain, ocsp, rim
from hermetic.verify.nvidia import NVIDIA_ROOTS, verify_device

NOW = datetime(2024, 6, 1, tzinfo=UTC)
VECTORS = Path(os.environ.get("HERMETIC_VECTORS", Path(__file__).parents[2] / "shared" / "vectors"))
HOPPER = VECTORS / "attestation" / "nvidia" / "hopper-545.00-full"
_REMEMBERING = (
    x509.load_certificate,
    x509.load_crl,
    ocsp.load_ocsp,
    ocsp._require_signed,
    rim._read,
    rim._require_signature,
    chain.require_issued,
    chain.require_listed_by,
)


def forget() -> None:
    for function in _REMEMBERING:
        function.cache_clear()


def workloads() -> dict[str, Callable[[], object]]:
    report = bytes.fromhex((HOPPER / "report.hex").read_text().strip())
    driver, firmware = ((HOPPER / f"{name}_rim.swidtag").read_bytes() for name in ("driver", "vbios"))
    bare = DeviceBundle(evidence=report, certificates=certificates_from_pem((HOPPER / "chain.pem").read_bytes()))
    whole = DeviceBundle(
        evidence=report,
        certificates=bare.certificates,
        rims={"NV_GPU_DRIVER_GH100_545.00": driver, "NV_GPU_VBIOS_1010_0200_882_96005E0001": firmware},
    )
    device = partial(
        verify_device, roots=NVIDIA_ROOTS, now=NOW, nonce=report[4:36], revocation_required=False, rims_required=False
    )
    manifest = partial(
        rim.verify_rim,
        roots=NVIDIA_ROOTS.manifest,
        now=NOW,
        product="GH100",
        version="545.00",
        revocation_required=False,
    )
    return {
        "report": partial(device, bare),
        "manifest": partial(manifest, driver),
        "whole": partial(device, whole),
    }


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def measure(rounds: int) -> dict[str, object]:
    works = workloads()
    times: dict[str, dict[str, list[float]]] = {name: {"first_sight": [], "known": []} for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            forget()
            times[name]["first_sight"].append(timed(work))
            times[name]["known"].append(timed(work))
    medians = {
        name: {case: {"median": statistics.median(values)} for case, values in cases.items()}
        for name, cases in times.items()
    }
    return {"name": "verify_nvidia", "unit": "ms", "rounds": rounds, **medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    print(json.dumps(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
