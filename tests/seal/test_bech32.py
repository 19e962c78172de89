"""BIP 173's own vectors, and what age asks beyond them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.seal.age import _bech32

# BIP 173, "Test vectors": valid strings, except those whose data is not a whole number of bytes.
VALID = [
    "A12UEL5L",
    "a12uel5l",
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "?1ezyfcl",
]
# The same section's invalid strings that do not rest on the length limit, which age lifts.
INVALID = [
    " 1nwldj5",
    "\x7f1axkwrx",
    "\x801eym55h",
    "pzry9x0s0muk",
    "1pzry9x0s0muk",
    "x1b4n0q5v",
    "li1dgmt3",
    "de1lg7wt\xff",
    "A1G7SGD8",
    "10a06t8",
    "1qzzfhee",
]


@pytest.mark.parametrize("text", VALID)
def test_valid_strings_are_read_and_written_back(text: str) -> None:
    prefix, data = _bech32.decode(text)
    written = _bech32.encode(prefix, data)
    assert written.lower() == text.lower()


@pytest.mark.parametrize("text", INVALID)
def test_invalid_strings_are_refused(text: str) -> None:
    with pytest.raises(Malformed):
        _bech32.decode(text)


@given(prefix=st.sampled_from(["age", "age1pq", "AGE-SECRET-KEY-"]), data=st.binary(max_size=300))
def test_round_trip(prefix: str, data: bytes) -> None:
    assert _bech32.decode(_bech32.encode(prefix, data)) == (prefix, data)


@given(data=st.binary(min_size=1, max_size=40), index=st.integers(min_value=0), other=st.sampled_from("qpzry9x8gf2t"))
def test_one_wrong_character_is_noticed(data: bytes, index: int, other: str) -> None:
    text = _bech32.encode("age", data)
    at = 4 + index % (len(text) - 4)
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(Malformed):
            _bech32.decode(changed)


def test_mixed_case_is_refused() -> None:
    text = _bech32.encode("age", bytes(32))
    with pytest.raises(Malformed, match="upper and lower"):
        _bech32.decode(text[:-1] + text[-1].upper())


def test_padding_bits_must_be_zero_and_short() -> None:
    # One byte takes two symbols, whose last two bits are padding: symbols (0, 1) would be a second spelling of 0x00.
    for symbols in ([0, 1], [0, 0, 0]):
        checksum = _bech32._polymod([*_bech32._expand("age"), *symbols, *[0] * 6]) ^ 1
        tail = [*symbols, *(checksum >> 5 * (5 - i) & 31 for i in range(6))]
        text = "age1" + "".join(_bech32._ALPHABET[symbol] for symbol in tail)
        with pytest.raises(Malformed, match="padding"):
            _bech32.decode(text)
