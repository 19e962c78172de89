"""DER is read in one spelling: each way to write a value otherwise is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence._der import BITS, INTEGER, OID, SEQUENCE, TIME, UTC_TIME, Node, read_der


def der(tag: int, content: bytes) -> bytes:
    """As it should be written."""
    size = len(content)
    length = bytes((size,)) if size < 0x80 else bytes((0x81, size)) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes((tag,)) + length + content


def node(tag: int, content: bytes) -> Node:
    return read_der(der(tag, content))


@given(st.integers(0, 0xFFF0), st.sampled_from([0x02, 0x04, 0x30, 0xA3]))
def test_a_value_of_any_length(size: int, tag: int) -> None:
    data = der(tag, bytes(size))
    assert (read := read_der(data)).encoded == data
    assert (read.tag, read.content) == (tag, bytes(size))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x04", id="a tag alone"),
        pytest.param(b"\x04\x02\x00", id="cut short"),
        pytest.param(b"\x04\x82\x01", id="cut short in its length"),
        pytest.param(b"\x04\x01\x00\x00", id="a byte more"),
        pytest.param(b"\x04\x81\x7f" + bytes(0x7F), id="a length in two bytes that fits one"),
        pytest.param(b"\x04\x82\x00\xff" + bytes(0xFF), id="a length in three bytes that fits two"),
        pytest.param(b"\x04\x83\x00\x01\x00" + bytes(0x100), id="a length in four bytes"),
        pytest.param(b"\x04\x80\x00\x00", id="a length that is left open"),
        pytest.param(b"\x1f\x01\x00", id="a tag in two bytes"),
    ],
)
def test_what_is_not_one_value(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_der(data)


def test_members_are_whole() -> None:
    members = node(SEQUENCE, der(INTEGER, b"\x01") + der(INTEGER, b"\x02")).children()
    assert [member.number() for member in members] == [1, 2]
    with pytest.raises(Malformed, match="cut short"):
        node(SEQUENCE, der(INTEGER, b"\x01") + b"\x02\x05\x00").children()
    with pytest.raises(Malformed, match="another type"):
        node(SEQUENCE, b"").children(0x31)


@given(st.integers())
def test_numbers(number: int) -> None:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
    if number < 0 and (number + 1).bit_length() // 8 + 1 < len(content):
        content = content[1:]
    assert node(INTEGER, content).number() == number
    with pytest.raises(Malformed):
        node(INTEGER, (b"\xff" if number < 0 else b"\x00") + content).number()


def test_a_number_has_at_least_one_byte() -> None:
    with pytest.raises(Malformed):
        node(INTEGER, b"").number()


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=10))
def test_identifiers(first: int, second: int, rest: list[int]) -> None:
    def base128(number: int) -> bytes:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        return bytes(reversed(digits))

    content = b"".join(map(base128, (40 * first + second, *rest)))
    assert node(OID, content).oid() == ".".join(map(str, (first, second, *rest)))


@pytest.mark.parametrize("content", [b"", b"\x55\x80\x01", b"\x80\x55", b"\x55\x84"], ids=bytes.hex)
def test_what_is_no_identifier(content: bytes) -> None:
    with pytest.raises(Malformed):
        node(OID, content).oid()


def test_the_arc_that_follows_two_may_be_large() -> None:
    assert node(OID, bytes.fromhex("883703")).oid() == "2.999.3"


def test_the_longest_identifier() -> None:
    """What it costs to write out grows with the square of its length, and Python refuses to above 4,300 digits."""
    assert node(OID, b"\x2a" + b"\xff" * 61 + b"\x7f").oid() == f"1.2.{2 ** (7 * 62) - 1}"
    for more in (62, 2500):
        with pytest.raises(Malformed, match="more than 63 bytes"):
            node(OID, b"\x2a" + b"\xff" * more + b"\x7f").oid()


def test_yes_and_no() -> None:
    assert (node(0x01, b"\xff").boolean(), node(0x01, b"\x00").boolean()) == (True, False)
    for content in (b"", b"\x01", b"\xff\xff"):
        with pytest.raises(Malformed):
            node(0x01, content).boolean()


def test_bits() -> None:
    assert node(BITS, b"\x00\x01\x02").whole_bits() == b"\x01\x02"
    assert node(BITS, b"\x05\xa0").flags() == {0, 2}
    assert node(BITS, b"\x00\x00\x81").flags() == {8, 15}
    assert node(BITS, b"\x00").flags() == frozenset()
    for content in (b"", b"\x01\x02"):
        with pytest.raises(Malformed):
            node(BITS, content).whole_bits()
    for content in (b"", b"\x08\x00", b"\x01", b"\x05\xb0"):
        with pytest.raises(Malformed):
            node(BITS, content).flags()


@pytest.mark.parametrize(
    ("tag", "text", "time"),
    [
        (UTC_TIME, "491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (UTC_TIME, "500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (TIME, "99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(tag: int, text: str, time: datetime) -> None:
    assert node(tag, text.encode()).time() == time


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (UTC_TIME, "4912312359Z"),
        (UTC_TIME, "491231235959+0000"),
        (UTC_TIME, "4912312359590"),
        (UTC_TIME, "49123123595 Z"),
        (UTC_TIME, "490229000000Z"),
        (UTC_TIME, "20491231235959Z"),
        (TIME, "491231235959Z"),
        (TIME, "99991231235959Z0"),
        (TIME, "9999123123595"),
        (TIME, "00000101000000Z"),
        (TIME, "99991231235959Ä"),
        (0x04, "99991231235959Z"),
    ],
)
def test_what_is_no_time(tag: int, text: str) -> None:
    with pytest.raises(Malformed):
        node(tag, text.encode("latin-1")).time()


def test_text() -> None:
    assert [node(tag, b"AMD").text() for tag in (0x0C, 0x13, 0x16)] == ["AMD"] * 3
    assert node(0x0C, "é".encode()).text() == "é"
    for tag, content in ((0x0C, b"\xff"), (0x13, "é".encode()), (0x16, b"\x80"), (0x13, b"A_D"), (0x14, b"AMD")):
        with pytest.raises(Malformed):
            node(tag, content).text()


READERS: tuple[Callable[[Node], object], ...] = (
    Node.children,
    Node.oid,
    Node.number,
    Node.boolean,
    Node.whole_bits,
    Node.flags,
    Node.time,
    Node.text,
)


@given(st.binary(max_size=40))
def test_noise_is_malformed_or_read(data: bytes) -> None:
    try:
        read = read_der(data)
    except Malformed:
        return
    for reader in READERS:
        try:
            reader(read)
        except Malformed:
            continue
