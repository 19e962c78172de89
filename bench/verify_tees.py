"""What one verification costs for each TEE, beside dcap-qvl alone; and how long a thousand take on two cores.

    python -m bench.verify_tees [--rounds N]      prints one JSON object

On recorded evidence, with endorsements seen before, as a broker or a returning client meets them; the evidence's own
signature is verified again each time.  All take turns within a round, so that a busy machine slows all of them alike.
The thousand go round all of a kind, in two processes, and count from the first to the last.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import dcap_qvl
from proof.specimens import AT, Specimen, all_specimens

_PROCESSES, _THOUSAND = 2, 1000
_KINDS = {"sev-snp": "report", "tdx": "quote", "sgx": "quote", "nvidia": "report"}


def specimens(tee: str) -> list[Specimen]:
    """Recorded evidence of one TEE; of NVIDIA's, with the manifests that were recorded with it."""
    return [each for each in all_specimens() if each.tee == tee and each.recorded and each.evidence == _KINDS[tee]]


def alone(each: Specimen) -> Callable[[], object]:
    """dcap-qvl on the same quote and collateral, reading the collateral included."""
    tcb, qe = (json.loads(each.parts[name]) for name in ("tcb_info", "qe_identity"))
    bodies = {name: each.parts[name].decode() for name in ("tcb_info", "qe_identity")}
    collateral = {
        "tcb_info": bodies["tcb_info"][len('{"tcbInfo":') : -len(f',"signature":"{tcb["signature"]}"}}')],
        "tcb_info_signature": tcb["signature"],
        "tcb_info_issuer_chain": each.parts["tcb_info_chain"].decode(),
        "qe_identity": bodies["qe_identity"][len('{"enclaveIdentity":') : -len(f',"signature":"{qe["signature"]}"}}')],
        "qe_identity_signature": qe["signature"],
        "qe_identity_issuer_chain": each.parts["qe_identity_chain"].decode(),
        "pck_crl": each.parts["pck_crl"].hex(),
        "pck_crl_issuer_chain": each.parts["pck_crl_chain"].decode(),
        "root_ca_crl": each.parts["root_crl"].hex(),
    }
    text, now = json.dumps(collateral), int(datetime.fromisoformat(each.parts[AT].decode()).timestamp())
    return lambda: dcap_qvl.verify(each.parts["quote"], dcap_qvl.QuoteCollateralV3.from_json(text), now)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def medians(rounds: int) -> dict[str, float]:
    """In milliseconds, of one specimen of each."""
    works: dict[str, Callable[[], object]] = {
        tee: partial(specimens(tee)[0].judge, specimens(tee)[0].parts) for tee in _KINDS
    }
    works["dcap_qvl"] = alone(specimens("tdx")[0])
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(timed(work))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _verify(tee: str, numbers: range) -> None:
    kept = specimens(tee)
    for number in numbers:
        each = kept[number % len(kept)]
        each.judge(each.parts)


def thousand(tee: str) -> float:
    """Seconds for a thousand verifications in two processes that are there already."""
    shares = [(tee, range(start, _THOUSAND, _PROCESSES)) for start in range(_PROCESSES)]
    with multiprocessing.get_context("fork").Pool(_PROCESSES) as pool:
        pool.starmap(_verify, [(tee, range(4)) for _ in range(_PROCESSES)])
        start = time.perf_counter()
        pool.starmap(_verify, shares, chunksize=1)
        return time.perf_counter() - start


def measure(rounds: int) -> dict[str, Any]:
    all_specimens()
    return {
        "name": "verify_tees",
        "rounds": rounds,
        "median_ms": medians(rounds),
        "thousand_s": {tee: thousand(tee) for tee in _KINDS},
        "processes": _PROCESSES,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300)
    print(json.dumps(measure(parser.parse_args().rounds)))


if __name__ == "__main__":
    main()
