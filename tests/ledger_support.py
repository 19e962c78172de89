"""Trees by the RFC's own definition, a log's key, and disks that misbehave, for the tests of the ledger."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from multiprocessing.synchronize import Barrier
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.ledger import Log, NoteSigner, PinnedCheckpoints, VerifierKey
from hermetic.ledger.merkle import Nodes
from hermetic.ledger.note import NoteSignature, SignatureType

SIGNER = NoteSigner.from_seed("log.example/test", b"\x07" * 32)
LOG_KEY = SIGNER.verifier
WITNESS = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
WITNESS_KEY = VerifierKey(
    name="witness.example/w",
    public_key=WITNESS.public_key().public_bytes_raw(),
    type=SignatureType.COSIGNATURE_V1,
)


def cosign(text: str, timestamp: int) -> NoteSignature:
    """A witness's cosignature, as c2sp.org/tlog-cosignature writes it."""
    signature = WITNESS.sign(f"cosignature/v1\ntime {timestamp}\n{text}".encode())
    return NoteSignature(
        name=WITNESS_KEY.name, key_id=WITNESS_KEY.key_id, signature=timestamp.to_bytes(8, "big") + signature
    )


def commitment(number: int) -> bytes:
    """A leaf's entry (32 bytes), different for each number."""
    return hashlib.sha256(b"entry %d" % number).digest()


@cache
def leaves(size: int) -> tuple[bytes, ...]:
    """The leaf hashes of entries 0 to ``size - 1``."""
    return tuple(hashlib.sha256(b"\x00" + commitment(number)).digest() for number in range(size))


@lru_cache(maxsize=1 << 16)
def mth(part: tuple[bytes, ...]) -> bytes:
    """MTH of RFC 6962 §2.1, over leaf hashes, by its recursive definition."""
    if not part:
        return hashlib.sha256().digest()
    if len(part) == 1:
        return part[0]
    split = 1
    while split * 2 < len(part):
        split *= 2
    return hashlib.sha256(b"\x01" + mth(part[:split]) + mth(part[split:])).digest()


def nodes_of(tree: tuple[bytes, ...]) -> Nodes:
    """Complete subtrees of ``tree``, recomputed each time."""
    return lambda level, index: mth(tree[index << level : (index + 1) << level])


class Stopped(BaseException):
    """The process or the whole machine stopped.  Not an Exception: nothing may catch it and go on."""


@dataclass
class _File:
    durable: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    unsynced: list[Callable[[bytearray], None]] = field(default_factory=list)


class VolatileDisk:
    """A disk whose process can be killed, or power fail, before any operation; it then keeps only what it must.

    After a power failure each unsynced write of a file may have happened, or not, or in part; of unsynced changes to
    names, a prefix has happened, as a journalling file system keeps it.  ``choose`` decides.
    """

    def __init__(self, *, fail_before: int | None = None) -> None:
        self.operations = 0
        self.shown: list[bytes] = []
        self._fail_before = fail_before
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._unsynced_names: list[Callable[[dict[str, _File]], None]] = []

    def after_power_loss(self, choose: random.Random, *, fail_before: int | None = None) -> VolatileDisk:
        """The disk that the machine finds when it starts again."""
        disk = VolatileDisk(fail_before=fail_before)
        disk.shown = self.shown
        names = dict(self._durable_names)
        for change in self._unsynced_names[: choose.randint(0, len(self._unsynced_names))]:
            change(names)
        for name, file in names.items():
            content = bytearray(file.durable)
            for write in file.unsynced:
                if choose.random() < 0.5:
                    write(content)
            if file.unsynced and content and choose.random() < 0.2:
                keep = choose.randrange(len(content) + 1)  # torn, but not where it was durable before
                if keep >= len(file.durable):
                    del content[keep:]
            disk._names[name] = _File(durable=bytes(content), now=bytearray(content))
        disk._durable_names = dict(disk._names)
        return disk

    def after_kill(self, *, fail_before: int | None = None) -> VolatileDisk:
        """The disk that the next process finds: nothing is lost, and nothing is more durable than it was."""
        disk = VolatileDisk(fail_before=fail_before)
        disk.shown = self.shown
        disk._names = self._names
        disk._durable_names = self._durable_names
        disk._unsynced_names = self._unsynced_names
        return disk

    def lock(self) -> None:
        self._step()

    def close(self) -> None:
        pass

    def size(self, name: str) -> int:
        return len(self._names[name].now) if name in self._names else 0

    def read(self, name: str, offset: int, length: int) -> bytes:
        return bytes(self._names[name].now[offset : offset + length]) if name in self._names else b""

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._step()

        def apply(content: bytearray) -> None:
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data

        self._change(name, apply)

    def sync(self, name: str) -> None:
        self._step()
        file = self._names[name]
        file.durable = bytes(file.now)
        file.unsynced.clear()

    def rename(self, old: str, new: str) -> None:
        self._step()

        def apply(names: dict[str, _File]) -> None:
            if old in names:
                names[new] = names.pop(old)

        apply(self._names)
        self._unsynced_names.append(apply)
        self.shown.append(bytes(self._names[new].now))

    def remove(self, name: str) -> None:
        self._step()

        def apply(names: dict[str, _File]) -> None:
            names.pop(name, None)

        apply(self._names)
        self._unsynced_names.append(apply)

    def sync_folder(self) -> None:
        self._step()
        self._durable_names = dict(self._names)
        self._unsynced_names.clear()

    def _step(self) -> None:
        if self.operations == self._fail_before:
            raise Stopped
        self.operations += 1

    def _change(self, name: str, apply: Callable[[bytearray], None]) -> None:
        file = self._names.get(name)
        if file is None:
            file = self._names[name] = _File()
            made = file

            def create(names: dict[str, _File]) -> None:
                names[name] = made

            self._unsynced_names.append(create)
        apply(file.now)
        file.unsynced.append(apply)


def commitments(start: int, count: int) -> Sequence[bytes]:
    """Entries ``start`` and following."""
    return [commitment(number) for number in range(start, start + count)]


def admit_checkpoints(path: Path, sizes: range, together: Barrier) -> None:
    """One process of several that remember checkpoints of one log in one file.  Here, where a new process finds it."""
    log = Log.create(VolatileDisk(), signer=SIGNER)
    at = {start + 1: log.append(commitments(start, 1)).checkpoint for start in range(60)}
    for size in sizes:
        together.wait()
        PinnedCheckpoints(path).admit(at[size], log.consistency(size, 60))
