"""What the tests of sealed files share: keys, sealing and opening in memory, folders that must stay empty."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hermetic.errors import HermeticError, Malformed, NotAuthentic
from hermetic.seal import Identity, Recipient, read_header, unwrap
from hermetic.seal.age import (
    FileKey,
    MemorySource,
    PayloadReader,
    generate_identity,
    open_payload,
    open_stream,
    seal_stream,
)

HYBRID = generate_identity()
CLASSIC = generate_identity(classic=True)
STRANGER = generate_identity()
IDENTITIES = {"post-quantum": HYBRID, "classic": CLASSIC}

CHUNK = 64 * 1024
TAG = 16

INTEROP = Path(__file__).resolve().parents[1] / "interop"

needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")
needs_node = pytest.mark.skipif(
    shutil.which("node") is None
    or not all((INTEROP / "node_modules" / name).is_dir() for name in ("age-encryption", "cctv-age")),
    reason="node_modules is absent",
)

Refusals = (Malformed, NotAuthentic)


def sealed(data: bytes, *recipients: Recipient) -> bytes:
    """``data`` as an age file for ``recipients``; for HYBRID when there is none."""
    out = io.BytesIO()
    seal_stream(io.BytesIO(data), out, recipients or (HYBRID.recipient(),))
    return out.getvalue()


def opened(data: bytes, *identities: Identity) -> bytes:
    """What ``data`` holds, by the stream.  Raises as :func:`open_stream` does."""
    out = io.BytesIO()
    open_stream(io.BytesIO(data), out, *(identities or (HYBRID,)))
    return out.getvalue()


def reader(data: bytes, identity: Identity = HYBRID) -> PayloadReader:
    """The random-access reader of ``data``."""
    header, _ = read_header(io.BytesIO(data))
    return open_payload(unwrap(header, identity), header, MemorySource(data))


def split(data: bytes, identity: Identity = HYBRID) -> tuple[bytes, FileKey, bytes]:
    """Header bytes, file key, and what follows the header (nonce and chunks)."""
    header, at = read_header(io.BytesIO(data))
    return header.raw, unwrap(header, identity), data[at:]


def sealed_chunks(data: bytes) -> tuple[bytes, list[bytes]]:
    """An age file as everything before its chunks, and its chunks."""
    _, at = read_header(io.BytesIO(data))
    start = at + 16
    return data[:start], [data[i : i + CHUNK + TAG] for i in range(start, len(data), CHUNK + TAG)]


def refused_both_ways(data: bytes, identity: Identity = HYBRID) -> None:
    """``data`` is refused by the stream and by the random-access reader alike."""
    with pytest.raises(Refusals):
        opened(data, identity)
    with pytest.raises(Refusals):
        reader(data, identity).read()


@contextmanager
def leaves_nothing(folder: Path) -> Iterator[None]:
    """The block is refused, and ``folder`` holds afterwards exactly what it held before."""
    before = sorted(folder.rglob("*"))
    with pytest.raises(HermeticError):
        yield
    assert sorted(folder.rglob("*")) == before


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
