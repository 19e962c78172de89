"""Inputs that are nearly genuine: the same seed makes the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

LARGEST = 1 << 18
"""Longer inputs than this are cut: every parser has a limit of its own below or near it."""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)
_WORDS = (
    *(
        b"\0",
        b"\xff",
        b"\n",
        b"\r\n",
        b" ",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"true",
        b"-1",
        b"1e999",
    ),
    *(b"NaN", b"\\u0000", b"\\ud800", b"\xef\xbb\xbf", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x05\x00", b"<!--"),
    *(
        b"<![CDATA[",
        b"&lt;",
        b"-----BEGIN CERTIFICATE-----\n",
        b"-> X25519 ",
        b"--- ",
        b"sha256:",
        b"=" * 4,
        b"\xe2\x80\x94",
    ),
    *(b"9" * 400, b"[" * 2000, b'{"a":' * 500, b"1" * 5000),
)
_Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def inputs(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Without end: the seeds themselves, then changed ones."""
    choose = random.Random(seed)
    yield from seeds
    yield b""
    while True:
        data = bytearray(choose.choice(seeds))
        for _ in range(choose.choice((1, 1, 1, 2, 3, 8))):
            choose.choice(_CHANGES)(choose, data, seeds)
        yield bytes(data[:LARGEST])


def _flip(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)


def _set(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[choose.randrange(len(data))] = choose.randrange(256)


def _number(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A number at an edge, over a length field perhaps."""
    width, order = choose.choice((1, 2, 4, 8)), choose.choice(("little", "big"))
    at = choose.randrange(len(data) + 1)
    value = choose.choice(_NUMBERS) & (1 << 8 * width) - 1
    data[at : at + width] = value.to_bytes(width, "little" if order == "little" else "big")


def _word(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = choose.randrange(len(data) + 1)
    data[at : at + choose.choice((0, 0, 4))] = choose.choice(_WORDS)


def _remove(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, stop = _stretch(choose, data)
    del data[start:stop]


def _double(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, stop = _stretch(choose, data)
    data[stop:stop] = data[start:stop] * choose.choice((1, 1, 2, 50))


def _move(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    start, stop = _stretch(choose, data)
    taken = data[start:stop]
    del data[start:stop]
    at = choose.randrange(len(data) + 1)
    data[at:at] = taken


def _cross(choose: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """The front of this one and the back of another."""
    other = choose.choice(seeds)
    at = choose.randrange(len(data) + 1)
    data[at:] = other[min(at, len(other)) if choose.random() < 0.7 else choose.randrange(len(other) + 1) :]


def _cut(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[choose.randrange(len(data) + 1) :]


def _digit(choose: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """Another digit, where there is one: lengths and versions in text."""
    places = [at for at, byte in enumerate(data[:4096]) if 0x30 <= byte <= 0x39]
    if places:
        data[choose.choice(places)] = choose.choice(b"0123456789-.e")


_CHANGES: tuple[_Change, ...] = (_flip, _set, _number, _word, _remove, _double, _move, _cross, _cut, _digit)


def _stretch(choose: random.Random, data: bytearray) -> tuple[int, int]:
    start = choose.randrange(len(data) + 1)
    return start, min(len(data), start + choose.choice((1, 2, 4, 16, 64, 1024)))
