"""The chat template's digest, out of metadata that a stranger wrote."""

from __future__ import annotations

import io
import struct
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.seal.gguf import chat_template_digest

KEY = "tokenizer.chat_template"
STRING, ARRAY, UINT8, UINT32, FLOAT64 = 8, 9, 0, 4, 12


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, *values: bytes) -> bytes:
    return struct.pack("<IQ", kind, len(values)) + b"".join(values)


def gguf(*entries: bytes, version: int = 3, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 1, len(entries) if count is None else count) + b"".join(entries)


def digest(data: bytes) -> str | None:
    return chat_template_digest(io.BytesIO(data))


TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
EXPECTED = "sha256:" + sha256(TEMPLATE.encode()).hexdigest()
OTHERS = [
    entry("general.name", STRING, text("tiny")),
    entry("a", UINT8, b"\1"),
    entry("b", FLOAT64, bytes(8)),
    entry("tokens", ARRAY, array(STRING, text("a"), text(""), text("c" * 1000))),
    entry("scores", ARRAY, array(UINT32, bytes(4), bytes(4))),
    entry("nested", ARRAY, array(ARRAY, array(UINT8, b"\0"), array(STRING, text("x")))),
]


@pytest.mark.parametrize("version", [2, 3])
def test_the_template_is_found_among_other_keys(version: int) -> None:
    data = gguf(*OTHERS[:3], entry(KEY, STRING, text(TEMPLATE)), *OTHERS[3:], version=version)
    assert digest(data + b"tensors follow") == EXPECTED


def test_a_model_without_template_has_none() -> None:
    assert digest(gguf(*OTHERS)) is None
    assert digest(gguf()) is None


@pytest.mark.parametrize("data", [b"", b"GGU", b"GGML\3\0\0\0", b"PK\3\4", b"gguf"])
def test_other_files_have_none(data: bytes) -> None:
    assert digest(data) is None


BAD = {
    "version 1": gguf(*OTHERS, version=1),
    "version 4": gguf(*OTHERS, version=4),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 1, 0),
    "too many keys": gguf(*[entry("a", UINT8, b"\0")] * 65_537),
    "fewer keys than stated": gguf(*OTHERS, count=len(OTHERS) + 1),
    "endless key": b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63),
    "endless text": gguf(entry("a", STRING, struct.pack("<Q", 2**64 - 1))),
    "endless template": gguf(entry(KEY, STRING, struct.pack("<Q", 2**40))),
    "endless array": gguf(entry("a", ARRAY, struct.pack("<IQ", UINT8, 2**64 - 1))),
    "endless array of nothing": gguf(entry("a", ARRAY, struct.pack("<IQ", STRING, 2**64 - 1))),
    "unknown type": gguf(entry("a", 13, b"")),
    "unknown type in an array": gguf(entry("a", ARRAY, array(99, b"x"))),
    "arrays too deep": gguf(entry("a", ARRAY, array(ARRAY, array(ARRAY, array(ARRAY, array(UINT8, b"\0")))))),
    "key too long": gguf(entry("a" * 65_536, UINT8, b"\0")),
    "template too long": gguf(entry(KEY, STRING, text("a" * (4 * 1024 * 1024 + 1)))),
    "template is a number": gguf(entry(KEY, UINT32, bytes(4))),
    "template is a number that could be read as text": gguf(entry(KEY, UINT32, text("x"))),
    "template is a list": gguf(entry(KEY, ARRAY, array(STRING, text("x")))),
    "template twice": gguf(entry(KEY, STRING, text("a")), entry(KEY, STRING, text("a"))),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_not_gguf_is_refused_in_bounded_work(data: bytes) -> None:
    with pytest.raises(Malformed, match="GGUF"):
        digest(data)


class Endless(io.BytesIO):
    """A file that goes on with zeros for ever."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        return super().read(size).ljust(size, b"\0")


@pytest.mark.parametrize(
    ("kind", "count", "sentence"),
    [
        pytest.param(UINT8, 2**40, "bytes of metadata", id="numbers"),
        pytest.param(STRING, 2**40, "entries in lists", id="empty texts"),
        pytest.param(ARRAY, 2**40, "entries in lists", id="empty lists"),
    ],
)
def test_metadata_without_end_is_refused(kind: int, count: int, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        chat_template_digest(Endless(gguf(entry("a", ARRAY, struct.pack("<IQ", kind, count)))))


def test_entries_are_counted_over_all_lists() -> None:
    many = entry("a", ARRAY, struct.pack("<IQ", STRING, 1_500_000) + bytes(8 * 1_500_000))
    assert digest(gguf(many)) is None
    with pytest.raises(Malformed, match="entries in lists"):
        digest(gguf(many, many))


def test_a_file_cut_inside_its_metadata_is_refused() -> None:
    whole = gguf(*OTHERS, entry(KEY, STRING, text(TEMPLATE)))
    for length in range(4, len(whole)):
        with pytest.raises(Malformed):
            digest(whole[:length])


@given(st.binary(max_size=400))
def test_noise_is_refused_or_read_and_nothing_else(noise: bytes) -> None:
    try:
        digest(b"GGUF" + struct.pack("<IQQ", 3, 0, 3) + noise)
    except Malformed:
        return
