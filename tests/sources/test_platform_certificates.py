"""The host's certificate table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificate_table_support import GUIDS, certificate_table
from hermetic.errors import Malformed
from hermetic.sources.certificate_table import read_certificate_table

_VCEK, _VLEK, _ASK, _ARK, _CRL = (GUIDS[name] for name in ("leaf", "vlek", "intermediate", "root", "crl"))


@given(vcek=st.binary(max_size=40), ask=st.binary(max_size=40), ark=st.binary(max_size=40), crl=st.binary(max_size=40))
def test_a_table_is_read_back(vcek: bytes, ask: bytes, ark: bytes, crl: bytes) -> None:
    found = read_certificate_table(certificate_table((_VCEK, vcek), (_ASK, ask), (_ARK, ark), (_CRL, crl)))
    assert found == {"leaf": vcek, "intermediate": ask, "root": ark, "crl": crl}


def test_a_vlek_is_a_leaf_and_unknown_entries_are_skipped() -> None:
    other = "00000000-0000-0000-0000-000000000001"
    assert read_certificate_table(certificate_table((other, b"?"), (_VLEK, b"v"))) == {"leaf": b"v"}


@pytest.mark.parametrize("table", [b"", bytes(24), bytes(4096)])
def test_nothing_offered(table: bytes) -> None:
    assert read_certificate_table(table) == {}


def test_two_leaves_are_refused() -> None:
    with pytest.raises(Malformed, match="two entries are a leaf"):
        read_certificate_table(certificate_table((_VCEK, b"1"), (_VLEK, b"2")))


def test_an_entry_outside_the_table_is_refused() -> None:
    table = bytearray(certificate_table((_VCEK, b"123")))
    table[20] += 1
    with pytest.raises(Malformed, match="outside"):
        read_certificate_table(bytes(table))


@pytest.mark.parametrize("length", [1, 23, 24, 47])
def test_a_table_without_an_end_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match="does not end"):
        read_certificate_table(certificate_table((_VCEK, b"123"))[:length])


@given(table=st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(table: bytes) -> None:
    try:
        found = read_certificate_table(table)
    except Malformed:
        return
    assert all(data in table for data in found.values())
