"""The age v1 header: one spelling for each, and nothing else is read."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic
from hermetic.seal import FileKey, Identity, parse_header, read_header, unwrap
from hermetic.seal.age import Stanza, _base64, make_header
from hermetic.seal.age.header import MAX_HEADER, unsigned_header
from hermetic.wire import sha256_digest
from seal_support import CLASSIC, HYBRID, IDENTITIES, Refusals, flipped, sealed

# C2SP age, "Header".
EXAMPLE = (
    b"age-encryption.org/v1\n"
    b"-> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE\n"
    b"qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E\n"
    b"--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n"
)
MAC = EXAMPLE[-44:]

words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=90)
stanzas = st.builds(
    Stanza,
    kind=words.filter(lambda kind: kind != "scrypt"),
    arguments=st.lists(words, max_size=4).map(tuple),
    body=st.binary(max_size=200),
)


def test_the_specification_s_example() -> None:
    header = parse_header(EXAMPLE)
    (stanza,) = header.stanzas
    assert (stanza.kind, len(stanza.body), len(header.mac)) == ("X25519", 32, 32)
    assert header.digest == sha256_digest(EXAMPLE)
    assert header.authenticated == EXAMPLE[:-45]


@given(st.lists(stanzas, min_size=1, max_size=5), st.binary(min_size=32, max_size=32), st.binary(max_size=100))
def test_round_trip(listed: list[Stanza], mac: bytes, payload: bytes) -> None:
    raw = unsigned_header(listed) + b" " + _base64.encode(mac) + b"\n"
    stream = io.BytesIO(raw + payload)
    header, length = read_header(stream)
    assert header.stanzas == tuple(listed)
    assert (header.mac, header.raw, length) == (mac, raw, len(raw))
    assert stream.read() == payload, "nothing beyond the header was read"
    assert parse_header(raw) == header


@given(st.binary(max_size=300))
def test_what_is_read_from_arbitrary_bytes_says_the_same(noise: bytes) -> None:
    raw = EXAMPLE.replace(b"qRS0", noise)
    try:
        header = parse_header(raw)
    except Malformed:
        return
    assert unsigned_header(header.stanzas) + b" " + _base64.encode(header.mac) + b"\n" == raw


def example(*, version: bytes = b"age-encryption.org/v1\n", body: bytes = b"-> A b\n\n", end: bytes = b"") -> bytes:
    return version + body + (end or b"--- " + MAC)


BAD = {
    "nothing": b"",
    "version 2": example(version=b"age-encryption.org/v2\n"),
    "version with CRLF": example(version=b"age-encryption.org/v1\r\n"),
    "version with a space": example(version=b"age-encryption.org/v1 \n"),
    "version in upper case": example(version=b"AGE-encryption.org/v1\n"),
    "version without line feed": b"age-encryption.org/v1",
    "something before": b"\n" + example(),
    "armored": b"-----BEGIN AGE ENCRYPTED FILE-----\n" + example(),
    "another file": b"\x7fELF" + bytes(100),
    "no stanza": example(body=b""),
    "no MAC": b"age-encryption.org/v1\n-> A b\n\n",
    "no body": example(body=b"-> A b\n"),
    "mark without space": example(body=b"->A b\n\n"),
    "no argument": example(body=b"->\n\n"),
    "empty argument": example(body=b"-> \n\n"),
    "two spaces": example(body=b"-> A  b\n\n"),
    "trailing space": example(body=b"-> A b \n\n"),
    "tab": example(body=b"-> A\tb\n\n"),
    "control character": example(body=b"-> A\x01b\n\n"),
    "delete character": example(body=b"-> A\x7f\n\n"),
    "not ASCII": example(body="-> é\n\n".encode()),
    "CRLF in a stanza": example(body=b"-> A b\r\n\r\n"),
    "body padded": example(body=b"-> A b\nAA==\n"),
    "body with spare bits": example(body=b"-> A b\nAB\n"),
    "body of one character": example(body=b"-> A b\nA\n"),
    "body not base64": example(body=b"-> A b\nA-_A\n"),
    "body line too long": example(body=b"-> A b\n" + b"A" * 68 + b"\n\n"),
    "body without short line": example(body=b"-> A b\n" + b"A" * 64 + b"\n"),
    "body wrapped early": example(body=b"-> A b\nAAAA\nAAAA\n"),
    "body with blank line": example(body=b"-> A b\n\nAAAA\n"),
    "MAC without space": example(end=b"---" + MAC),
    "MAC with two spaces": example(end=b"---  " + MAC),
    "MAC with trailing space": example(end=b"--- " + MAC[:-1] + b" \n"),
    "MAC padded": example(end=b"--- " + MAC[:-1] + b"=\n"),
    "MAC too short": example(end=b"--- " + MAC[1:]),
    "MAC too long": example(end=b"--- AAAA" + MAC),
    "MAC with spare bits": example(end=b"--- " + MAC[:-2] + b"t\n"),
    "MAC with CRLF": example(end=b"--- " + MAC[:-1] + b"\r\n"),
    "MAC without line feed": example(end=b"--- " + MAC[:-1]),
    "MAC empty": example(end=b"--- \n"),
    "scrypt beside another": example(body=b"-> scrypt a 18\n\n-> A b\n\n"),
    "two scrypt": example(body=b"-> scrypt a 18\n\n-> scrypt b 18\n\n"),
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
def test_bad_headers_are_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_header(raw)
    with pytest.raises(Malformed):
        read_header(io.BytesIO(raw))


@pytest.mark.parametrize(
    ("what", "sentence"),
    [("version 2", "not age version 1"), ("armored", "ASCII-armored"), ("another file", "not an age file")],
)
def test_the_refusal_says_what_it_is_instead(what: str, sentence: str) -> None:
    with pytest.raises(Malformed, match=sentence):
        parse_header(BAD[what])


def test_the_good_twin_of_the_bad_ones_is_read() -> None:
    assert parse_header(example()).stanzas == (Stanza(kind="A", arguments=("b",), body=b""),)


def test_a_header_of_exact_bytes_has_nothing_after_it() -> None:
    for more in (b"\n", b"x", EXAMPLE, b"-> A b\n\n"):
        with pytest.raises(Malformed):
            parse_header(EXAMPLE + more)


@pytest.mark.parametrize("tail", [b"A" * 64 + b"\n", b"A" * 100])
def test_a_header_that_never_ends_is_refused_at_the_limit(tail: bytes) -> None:
    endless = io.BytesIO(b"age-encryption.org/v1\n-> A b\n" + tail * 40_000)
    with pytest.raises(Malformed, match="longer"):
        read_header(endless)
    assert endless.tell() <= MAX_HEADER + 1


def test_the_limit_is_the_caller_s() -> None:
    assert parse_header(EXAMPLE, limit=len(EXAMPLE))
    for call in (lambda: parse_header(EXAMPLE, limit=100), lambda: read_header(io.BytesIO(EXAMPLE), limit=100)):
        with pytest.raises(Malformed, match="longer"):
            call()


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_no_bit_of_a_header_can_be_changed(identity: Identity) -> None:
    raw = make_header(FileKey.generate(), [identity.recipient()]).raw
    assert unwrap(parse_header(raw), identity)
    # A post-quantum header is ten times as long: every fifth bit still meets every character and every bit position.
    for bit in range(0, len(raw) * 8, 5 if identity is HYBRID else 1):
        with pytest.raises(Refusals):
            unwrap(parse_header(flipped(raw, bit)), identity)


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_a_header_cut_anywhere_is_refused(identity: Identity) -> None:
    raw = make_header(FileKey.generate(), [identity.recipient()]).raw
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            parse_header(raw[:length])
        with pytest.raises(Malformed):
            read_header(io.BytesIO(raw[:length]))


def test_a_stanza_cannot_be_added_or_taken_away() -> None:
    raw = make_header(FileKey.generate(), [CLASSIC.recipient(), CLASSIC.recipient()]).raw
    header = parse_header(raw)
    first, second = (stanza.encode() for stanza in header.stanzas)
    mac_line = raw[raw.rindex(b"---") :]
    for stanza_bytes in (first, second, second + first, first + first + second, first + second + b"-> grease\n\n"):
        with pytest.raises(NotAuthentic):
            unwrap(parse_header(b"age-encryption.org/v1\n" + stanza_bytes + mac_line), CLASSIC)


def test_a_sealed_file_begins_with_its_header() -> None:
    data = sealed(b"text", HYBRID.recipient())
    header, length = read_header(io.BytesIO(data))
    assert data.startswith(header.raw)
    assert length == len(header.raw)
    assert len(data) == length + 16 + 4 + 16
