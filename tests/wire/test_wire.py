"""Canonical out, strict in: one meaning for each sequence of bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import ChannelBroken, Malformed
from hermetic.wire import (
    FrameReader,
    b64decode,
    b64encode,
    canonical,
    frame,
    is_digest,
    parse_json,
    parse_object,
    parse_toml,
    sha256_digest,
    transcript,
    unhex,
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_canonical_json_reads_back(value: Any) -> None:
    assert parse_json(canonical(value)) == value
    assert canonical(json.loads(json.dumps(value))) == canonical(value)


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        "NaN",
        "[Infinity]",
        "9007199254740992",
        "1e999",
        '"\\ud800"',
        '{"\\udfff":1}',
        "",
        "{",
        "[1] trailing",
        b"\xff",
        "[" * 100_000,
    ],
)
def test_ambiguous_json_refuses(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)


def test_a_fault_in_json_never_quotes_it() -> None:
    with pytest.raises(Malformed) as refusal:
        parse_json('{"password": "hunter2"', what="request")
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_json_has_a_limit_and_a_shape() -> None:
    with pytest.raises(Malformed, match="larger"):
        parse_json(b"[1,2,3]", limit=4)
    with pytest.raises(Malformed, match="object"):
        parse_object("[]")


def test_toml_keeps_its_types() -> None:
    assert parse_toml(b'a = 1\nb.c = [1.5, true, "\xc3\xa9"]\n') == {"a": 1, "b": {"c": [1.5, True, "\u00e9"]}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"a = 1\na = 2\n", "line 2", id="twice"),
        pytest.param(b'a = "\xff"', "utf-8", id="not UTF-8"),
        pytest.param(b"a = " + b"[" * 100_000, "nested too deeply", id="deep"),
        pytest.param(b"a = " + b"9" * 5_000, "digits", id="long"),
    ],
)
def test_toml_that_cannot_be_read_refuses(data: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=f"^x.toml: .*{says}"):
        parse_toml(data, what="x.toml")


def test_what_has_no_canonical_form_refuses() -> None:
    for value in (float("nan"), 2**60, {"a": object()}, "\ud800"):
        with pytest.raises(Malformed):
            canonical(value)


@given(st.binary())
def test_base64_and_hex_have_one_spelling(data: bytes) -> None:
    assert b64decode(b64encode(data)) == data
    assert unhex(data.hex()) == data


@pytest.mark.parametrize("text", ["QQ", "QR==", "QQ==\n", "Q Q=", "QQ-_", None, 5, "é"])
def test_other_base64_refuses(text: object) -> None:
    with pytest.raises(Malformed):
        b64decode(text)


@pytest.mark.parametrize("text", ["AB", "a", "zz", "0x10", "ab\n", None])
def test_other_hex_refuses(text: object) -> None:
    with pytest.raises(Malformed):
        unhex(text)


def test_a_wrong_length_refuses() -> None:
    with pytest.raises(Malformed, match="expected 4 bytes, got 3"):
        unhex("aabbcc", length=4)
    with pytest.raises(Malformed, match="expected 4 bytes, got 3"):
        b64decode(base64.b64encode(b"abc").decode(), length=4)


def test_digests() -> None:
    assert sha256_digest(b"a", b"b") == sha256_digest(b"ab")
    assert is_digest(sha256_digest(b""))
    for wrong in ("", "sha256:", sha256_digest(b"").upper(), sha256_digest(b"") + "\n", "sha512:" + "0" * 64, None):
        assert not is_digest(wrong)


@given(st.lists(st.binary(max_size=64), max_size=8), st.integers(1, 16))
def test_frames_survive_any_chunking(frames: list[bytes], step: int) -> None:
    wire = b"".join(frame(data) for data in frames)
    reader = FrameReader()
    seen = [data for start in range(0, len(wire), step) for data in reader.push(wire[start : start + step])]
    reader.finish()
    assert seen == frames


def test_an_over_long_frame_refuses_from_its_prefix() -> None:
    with pytest.raises(ChannelBroken, match="announces"):
        list(FrameReader(max_frame=8).push((9).to_bytes(4, "big")))


@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_cut_frame_refuses(cut: int) -> None:
    reader = FrameReader()
    assert list(reader.push(frame(b"abcd")[:cut])) == []
    with pytest.raises(ChannelBroken, match="ended inside"):
        reader.finish()


@given(st.lists(st.binary(max_size=6), max_size=4), st.lists(st.binary(max_size=6), max_size=4))
def test_a_transcript_is_injective(one: list[bytes], other: list[bytes]) -> None:
    assert (transcript("t", *one) == transcript("t", *other)) == (one == other)
    assert transcript("t", *one) != transcript("u", *one)
