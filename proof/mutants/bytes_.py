"""The level of bytes: bits, truncations, bytes too many."""

from __future__ import annotations

from functools import partial

from proof.mutants._change import Changes
from proof.specimens import ASKED, AT, Specimen

_LONG = 2048
_TAILS = (b"\0", b"\n", b" ", b"\xff", b"\0" * 64, b"\r\n", b"0")


def bits(each: Specimen, part: str, stride: int, *, start: int = 0, stop: int | None = None) -> Changes:
    """One bit flipped: each one, or one in ``stride``, of the bytes from ``start`` to ``stop``."""
    for bit in range(8 * start, 8 * (len(each.parts[part]) if stop is None else stop), stride):
        yield f"bit {bit % 8} of byte 0x{bit // 8:x}", partial(_flipped, each, part, bit)


def _flipped(each: Specimen, part: str, bit: int) -> dict[str, bytes]:
    data = bytearray(each.parts[part])
    data[bit // 8] ^= 1 << bit % 8
    return dict(each.with_part(part, bytes(data)))


def truncations(each: Specimen, part: str) -> Changes:
    """Every length that is shorter; and, of what is not long, the same from the front."""
    data = each.parts[part]
    for length in range(len(data)):
        yield f"the first {length} bytes", partial(_cut, each, part, 0, length)
    if len(data) <= _LONG:
        for start in range(1, len(data)):
            yield f"from byte 0x{start:x}", partial(_cut, each, part, start, len(data))


def _cut(each: Specimen, part: str, start: int, stop: int) -> dict[str, bytes]:
    return dict(each.with_part(part, each.parts[part][start:stop]))


def additions(each: Specimen, part: str) -> Changes:
    """Bytes too many: behind, before, doubled."""
    data = each.parts[part]
    for tail in _TAILS:
        yield f"{tail[:2]!r} × {len(tail)} behind", partial(each.with_part, part, data + tail)
        yield f"{tail[:2]!r} × {len(tail)} before", partial(each.with_part, part, tail + data)
    yield "doubled", partial(each.with_part, part, data + data)


def removals(each: Specimen, part: str) -> Changes:
    """The part left out."""
    if part not in (each.evidence, AT, ASKED):
        yield "left out", partial(each.with_part, part, None)
