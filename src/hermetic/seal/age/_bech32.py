"""Bech32 (BIP 173) without its length limit, as age spells recipients and identities."""

from __future__ import annotations

from collections.abc import Iterable

from hermetic.errors import Malformed

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {symbol: value for value, symbol in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_SYMBOLS = 6


def encode(prefix: str, data: bytes) -> str:
    """``data`` under the human-readable ``prefix``; an upper-case prefix gives an upper-case string."""
    symbols = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(prefix.lower()), *symbols, *[0] * _CHECKSUM_SYMBOLS]) ^ 1
    symbols += [checksum >> 5 * (_CHECKSUM_SYMBOLS - 1 - i) & 31 for i in range(_CHECKSUM_SYMBOLS)]
    text = prefix.lower() + "1" + "".join(_ALPHABET[symbol] for symbol in symbols)
    return text.upper() if prefix.isupper() else text


def decode(text: str) -> tuple[str, bytes]:
    """The prefix, in the case in which it is written, and the data.  Raises Malformed; never quotes ``text``,
    which may be a secret key."""
    if text not in (text.lower(), text.upper()):
        raise Malformed("a key mixes upper and lower case")
    prefix, _, tail = text.rpartition("1")
    if not prefix or not all("!" <= char <= "~" for char in prefix):
        raise Malformed("a key has no prefix")
    try:
        symbols = [_VALUES[symbol] for symbol in tail.lower()]
    except KeyError:
        raise Malformed("a key holds a character that Bech32 does not use") from None
    if len(symbols) < _CHECKSUM_SYMBOLS or _polymod([*_expand(prefix.lower()), *symbols]) != 1:
        raise Malformed("a key's checksum does not match", fix="copy the whole key again; a character is wrong")
    return prefix, bytes(_regroup(symbols[:-_CHECKSUM_SYMBOLS], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    return [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= term
    return checksum


def _regroup(values: Iterable[int], width_in: int, width_out: int, *, pad: bool) -> list[int]:
    """Regroups bits.  Without ``pad`` what is left over must be zero and shorter than a group that could hold data."""
    result, bits, held = [], 0, 0
    for value in values:
        bits = (bits << width_in | value) & 0xFFFF
        held += width_in
        while held >= width_out:
            held -= width_out
            result.append(bits >> held & ((1 << width_out) - 1))
    left_over = bits & ((1 << held) - 1)
    if pad:
        return [*result, left_over << (width_out - held)] if held else result
    if held >= width_in or left_over:
        raise Malformed("a key's padding is not canonical")
    return result
