"""Opening a sealed file into memory: ours, the bare cipher into the same memory, ``age`` and ``pyrage``, in one run.

    python -m bench.seal_open [--size MiB] [--rounds N]      prints one JSON object

*Bare* is ChaCha20-Poly1305 over the same chunks, already in memory, on as many threads: what no reader of age files can
beat.  Both are measured into a fresh memfd (page faults included; ours as a workload opens it) and into a mapping that
has been touched before.  The digest check of a bundle comes on top and is stated apart.  The file is in the page cache.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hermetic.seal import (
    Bundle,
    FileKey,
    Identity,
    Kind,
    generate_identity,
    open_into_memfd,
    open_payload,
    read_bundle,
    regular_file,
    seal_bundle,
    sealed_memfd,
    unwrap,
)
from hermetic.seal.age import SPAN, BlockFile, PayloadReader
from hermetic.seal.age.filekey import NONCE_BYTES
from hermetic.seal.age.parallel import Task, for_each, usable_threads
from hermetic.seal.age.stream import CHUNK, SEALED_CHUNK, chunk_nonce
from hermetic.seal.bundle import header_of

MIB = 1024 * 1024
_BARE_CHUNKS = 16


class Sealed:
    """A sealed file of random bytes, with everything that the contestants need to open it."""

    def __init__(self, folder: Path, size: int) -> None:
        plain = folder / "plain"
        with plain.open("wb") as stream:
            for _ in range(size // MIB):
                stream.write(os.urandom(MIB))
        self.identity: Identity = generate_identity(classic=True)  # Debian's age has no post-quantum recipient
        self.size = size
        self.bundle: Bundle = seal_bundle(
            plain, folder / "bundle", [self.identity.recipient()], kind=Kind.DATA, name="bench"
        )
        plain.unlink()
        self.file = self.bundle.manifest.files[0]
        self.path = self.bundle.member(self.file)
        self.key_file = folder / "key"
        self.key_file.write_text(self.identity.reveal() + "\n")
        self.file_key: FileKey = unwrap(self.bundle.header(self.file), self.identity)
        self.data = self.path.read_bytes()

    @contextmanager
    def reader(self) -> Iterator[PayloadReader]:
        with regular_file(self.path) as fd:
            yield open_payload(self.file_key, header_of(fd), BlockFile(fd))


@contextmanager
def memfd(size: int) -> Iterator[memoryview]:
    """A fresh one, mapped."""
    fd = os.memfd_create("bench")
    try:
        os.ftruncate(fd, size)
        with mmap.mmap(fd, size) as mapping, memoryview(mapping) as memory:
            yield memory
    finally:
        os.close(fd)


def bare(sealed: Sealed, memory: memoryview, threads: int) -> None:
    """The cipher alone: no file, no header, no Python beyond the loop."""
    start = len(sealed.bundle.header(sealed.file).raw)
    key = sealed.file_key.payload_key(sealed.data[start : start + NONCE_BYTES])
    chunks = memoryview(sealed.data)[start + NONCE_BYTES :]
    count = sealed.size // CHUNK

    def new_task() -> Task:
        cipher = ChaCha20Poly1305(key)

        def span(number: int) -> None:
            for index in range(number * _BARE_CHUNKS, min(count, (number + 1) * _BARE_CHUNKS)):
                nonce = chunk_nonce(index, final=index == count - 1)
                chunk = chunks[index * SEALED_CHUNK : (index + 1) * SEALED_CHUNK]
                cipher.decrypt_into(nonce, chunk, None, memory[index * CHUNK : (index + 1) * CHUNK])

        return span

    for_each(-(-count // _BARE_CHUNKS), new_task, threads=threads)


def ours_fresh(sealed: Sealed, threads: int) -> None:
    """The way of ``open_into_memfd``, without the digest."""
    with sealed.reader() as reader:
        os.close(
            sealed_memfd(
                sealed.size,
                lambda place: reader.each_span(lambda n, data: place(n * SPAN, data), threads=threads),
            )
        )


def ours(sealed: Sealed, memory: memoryview, threads: int) -> None:
    with sealed.reader() as reader:
        reader.read_into(memory, threads=threads)


def checked(sealed: Sealed, threads: int) -> None:
    """What a workload does: the digest check included, and a sealed memfd at the end."""
    os.close(open_into_memfd(sealed.path, sealed.file_key, sealed.file, threads=threads))


def age(sealed: Sealed) -> None:
    """Debian's ``age``, writing into a fresh memfd."""
    fd = os.memfd_create("bench")
    try:
        subprocess.run(["age", "-d", "-i", sealed.key_file, sealed.path], check=True, stdout=fd)
        assert os.fstat(fd).st_size == sealed.size
    finally:
        os.close(fd)


def pyrage(sealed: Sealed) -> None:
    """The Rust implementation, from bytes in memory to bytes in memory."""
    from pyrage import decrypt, x25519

    assert len(decrypt(sealed.data, [x25519.Identity.from_str(sealed.identity.reveal())])) == sealed.size


def contestants(sealed: Sealed, threads: int, touched: memoryview) -> dict[str, Callable[[], None]]:
    def bare_fresh() -> None:
        with memfd(sealed.size) as memory:
            bare(sealed, memory, threads)

    found = {
        "bare_fresh": bare_fresh,
        "ours_fresh": lambda: ours_fresh(sealed, threads),
        "bare_touched": lambda: bare(sealed, touched, threads),
        "ours_touched": lambda: ours(sealed, touched, threads),
        "ours_checked": lambda: checked(sealed, threads),
        "pyrage": lambda: pyrage(sealed),
    }
    if shutil.which("age"):
        found["age"] = lambda: age(sealed)
    return found


def measure(size: int, rounds: int) -> dict[str, Any]:
    """GB/s, the best and the median of ``rounds``, all contestants taking turns; and the ratios that matter."""
    threads = usable_threads()
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=Path(tempfile.gettempdir())) as folder:
        sealed = Sealed(Path(folder), size)
        assert read_bundle(sealed.bundle.path).manifest_digest == sealed.bundle.manifest_digest
        with memfd(size) as touched:
            bare(sealed, touched, threads)
            for _ in range(rounds):
                for name, run in contestants(sealed, threads, touched).items():
                    begin = time.perf_counter()
                    run()
                    times.setdefault(name, []).append(time.perf_counter() - begin)
    best = {name: size / min(taken) / 1e9 for name, taken in times.items()}
    return {
        "size_mib": size // MIB,
        "threads": threads,
        "rounds": rounds,
        "best_gb_per_s": {name: round(value, 3) for name, value in best.items()},
        "median_gb_per_s": {name: round(size / statistics.median(taken) / 1e9, 3) for name, taken in times.items()},
        "ratios": ratios(times),
    }


def ratios(times: dict[str, list[float]]) -> dict[str, float]:
    """Of the medians; above 1 where ours is faster.  A contestant that is missing is left out."""
    pairs = {
        "ours_to_bare_fresh": ("ours_fresh", "bare_fresh"),
        "ours_to_bare_touched": ("ours_touched", "bare_touched"),
        "ours_to_age": ("ours_fresh", "age"),
        "ours_to_pyrage": ("ours_fresh", "pyrage"),
        "checked_to_unchecked": ("ours_checked", "ours_fresh"),
    }
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    return {
        name: round(medians[other] / medians[mine], 2)
        for name, (mine, other) in pairs.items()
        if {mine, other} <= medians.keys()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB of plaintext")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(measure(options.size * MIB, options.rounds), indent=2))


if __name__ == "__main__":
    main()
