"""What the log costs: appends in batches of 1, 64 and 1024, proofs, verification, and opening it again.

    python -m bench.ledger [--seconds S] [--folder DIR]      prints one JSON object

An append is synced four times (entries, note, the folder twice), so the disk decides the small batches: ``sync_ms`` is
what one 32-byte write and sync cost in the same folder and run, and ``over_syncs`` an append's time over four of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hermetic.ledger import (
    FolderDisk,
    Log,
    NoteSigner,
    SignedCheckpoint,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

SIGNER = NoteSigner.from_seed("log.example/bench", bytes(32))
BATCHES = (1, 64, 1024)
SYNCS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description="What the log costs.")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each size of batch")
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="whose disk is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix=".bench-ledger-", dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder), options.seconds)))


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    sync = statistics.median(_sync_times(folder / "sync"))
    log = Log.create(FolderDisk(folder / "log"), signer=SIGNER)
    appends, old = {}, log.checkpoint
    for batch in BATCHES:
        old = log.checkpoint
        appends[str(batch)] = _append(log, batch, seconds, sync)
    result = {
        "bench": "ledger",
        "sync_ms": round(sync * 1000, 3),
        "append": appends,
        "entries": log.checkpoint.size,
        "proofs_us": _proofs(log, old),
    }
    log.close()
    result["open_ms"] = _open_ms(folder / "log")
    (folder / "log" / "tiles").unlink()
    return {**result, "open_without_cache_ms": _open_ms(folder / "log")}


def _sync_times(path: Path) -> list[float]:
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    times = []
    for number in range(50):
        start = time.perf_counter()
        os.pwrite(file, bytes(32), number * 32)
        os.fsync(file)
        times.append(time.perf_counter() - start)
    os.close(file)
    return times


def _append(log: Log, batch: int, seconds: float, sync: float) -> dict[str, float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        leaves = [os.urandom(32) for _ in range(batch)]
        log.append(leaves)
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    return {
        "appends_per_s": round(batch * len(times) / sum(times)),
        "ms_per_batch": round(median * 1000, 3),
        "over_syncs": round(median / (SYNCS * sync), 2),
    }


def _proofs(log: Log, old: SignedCheckpoint) -> dict[str, float]:
    """Microseconds each, as a mean over many: the first proof from a tile pays for reading it, the others do not."""
    head = log.checkpoint
    anywhere = [random.randrange(head.size) for _ in range(400)]
    last_batch = list(range(head.size - 64, head.size))
    paths = {index: (leaf_hash(log.entry(index)), log.inclusion(index, head.size)) for index in anywhere}
    bridge = log.consistency(old.size, head.size)

    def include(index: int) -> None:
        log.inclusion(index, head.size)

    def continue_from(size: int) -> None:
        log.consistency(size, head.size)

    def verify_path(index: int) -> None:
        leaf, proof = paths[index]
        verify_inclusion(leaf=leaf, index=index, size=head.size, proof=proof, root=head.root)

    def verify_bridge(_: int) -> None:
        verify_consistency(old_size=old.size, old_root=old.root, new_size=head.size, new_root=head.root, proof=bridge)

    return {
        "inclusion_of_the_last_batch": _mean_us(include, last_batch),
        "inclusion_anywhere": _mean_us(include, anywhere),
        "consistency_anywhere": _mean_us(continue_from, anywhere),
        "verify_inclusion": _mean_us(verify_path, anywhere),
        "verify_consistency": _mean_us(verify_bridge, anywhere),
    }


def _mean_us(work: Callable[[int], None], arguments: list[int]) -> float:
    start = time.perf_counter()
    for argument in arguments:
        work(argument)
    return round((time.perf_counter() - start) / len(arguments) * 1e6, 1)


def _open_ms(folder: Path) -> float:
    start = time.perf_counter()
    Log.open(FolderDisk(folder), signer=SIGNER).close()
    return round((time.perf_counter() - start) * 1000, 2)


if __name__ == "__main__":
    main()
