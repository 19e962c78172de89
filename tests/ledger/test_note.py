"""Signed notes: the published vectors, round trips, and no bit of a note that can change unnoticed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic
from hermetic.ledger import NoteSigner, VerifierKey, open_note, parse_note, sign_note
from hermetic.ledger.note import MAX_NOTE_SIZE, MAX_SIGNATURES, Note, NoteSignature, SignatureType
from hermetic.wire import b64encode
from ledger_support import LOG_KEY, SIGNER, WITNESS_KEY, cosign
from vectors import ROOT, needs_vectors

VECTORS = ROOT / "independent" / "tlog-notes" / "tlog-notes.json"
TEXT = "This is a text.\n\nIt has an empty line.\n"

# What the specification leaves open: not space, not plus, not control.
names = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters="+\x85\u2028\u2029"), min_size=1, max_size=20
).filter(lambda name: not any(character.isspace() for character in name))
texts = st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20), min_size=1, max_size=5).map(
    lambda lines: "\n".join(lines) + "\n"
)


@needs_vectors
def test_verifier_key_vectors() -> None:
    for case in json.loads(VECTORS.read_text(encoding="utf-8"))["vkey_parse"]:
        if case["valid"]:
            assert str(VerifierKey.parse(case["vkey"])) == case["vkey"]
        else:
            with pytest.raises(Malformed):
                VerifierKey.parse(case["vkey"])


@needs_vectors
def test_the_example_of_the_specification_verifies() -> None:
    example = json.loads(VECTORS.read_text(encoding="utf-8"))["signed_note_example"]
    data = f"{example['text']}\n{example['signature_line']}\n".encode()
    key = VerifierKey.parse(example["vkey"])
    note, signed_by = open_note(data, keys=[key])
    assert (note.text, signed_by) == (example["text"], (key,))


def test_a_signed_note_opens_under_its_key() -> None:
    note, signed_by = open_note(bytes(sign_note(TEXT, [SIGNER])), keys=[LOG_KEY])
    assert note.text == TEXT
    assert signed_by == (LOG_KEY,)


@given(texts, st.lists(names, min_size=1, max_size=3, unique=True))
def test_notes_come_back_as_they_were_written(text: str, signers: list[str]) -> None:
    keys = [NoteSigner.from_seed(name, bytes([number]) * 32) for number, name in enumerate(signers)]
    note = sign_note(text, keys)
    assert parse_note(bytes(note)) == note
    opened, signed_by = open_note(bytes(note), keys=[key.verifier for key in keys])
    assert opened.text == text
    assert signed_by == tuple(key.verifier for key in keys)


@given(names, st.binary(min_size=32, max_size=32), st.sampled_from(SignatureType))
def test_verifier_keys_come_back_as_they_were_written(name: str, public_key: bytes, kind: SignatureType) -> None:
    key = VerifierKey(name=name, public_key=public_key, type=kind)
    assert VerifierKey.parse(str(key)) == key


def test_no_bit_of_a_note_can_change() -> None:
    data = bytes(sign_note("log.example/test\n1\ntext\n", [SIGNER]))
    for position in range(len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises((Malformed, NotAuthentic)):
            open_note(bytes(changed), keys=[LOG_KEY])


def test_no_bit_of_a_verifier_key_can_change_into_another_key() -> None:
    text = str(LOG_KEY).encode()
    for position in range(len(text) * 8):
        changed = bytearray(text)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises((Malformed, UnicodeDecodeError)):
            VerifierKey.parse(changed.decode())


def test_a_good_signature_beside_a_bad_one_of_a_known_key_refuses() -> None:
    good = sign_note(TEXT, [SIGNER]).signatures[0]
    bad = NoteSignature(name=good.name, key_id=good.key_id, signature=bytes(64))
    for order in [(good, bad), (bad, good)]:
        with pytest.raises(NotAuthentic, match="does not hold"):
            open_note(bytes(Note(text=TEXT, signatures=order)), keys=[LOG_KEY])


def test_signatures_of_unknown_keys_are_passed_over() -> None:
    note = sign_note(TEXT, [NoteSigner.from_seed("somebody", bytes(32)), SIGNER])
    _, signed_by = open_note(bytes(note), keys=[LOG_KEY])
    assert signed_by == (LOG_KEY,)


@pytest.mark.parametrize(
    "key",
    [
        NoteSigner.from_seed("log.example/other", b"\x07" * 32).verifier,  # the same key under another name
        NoteSigner.from_seed("log.example/test", b"\x09" * 32).verifier,  # the same name with another key
    ],
)
def test_a_name_alone_or_a_key_alone_is_not_the_signer(key: VerifierKey) -> None:
    with pytest.raises(NotAuthentic, match="got none"):
        open_note(bytes(sign_note(TEXT, [SIGNER])), keys=[key])


def test_without_keys_nothing_opens() -> None:
    with pytest.raises(NotAuthentic, match="no key"):
        open_note(bytes(sign_note(TEXT, [SIGNER])), keys=[])


def test_a_cosignature_covers_text_and_time() -> None:
    line = cosign(TEXT, 1_700_000_000)
    _, signed_by = open_note(bytes(Note(text=TEXT, signatures=(line,))), keys=[WITNESS_KEY])
    assert signed_by == (WITNESS_KEY,)
    later = NoteSignature(
        name=line.name, key_id=line.key_id, signature=(1_800_000_000).to_bytes(8, "big") + line.signature[8:]
    )
    plain = NoteSignature(name=line.name, key_id=line.key_id, signature=line.signature[8:])
    eternal = cosign(TEXT, 2**63)
    for lie in [later, plain, eternal]:
        with pytest.raises(NotAuthentic):
            open_note(bytes(Note(text=TEXT, signatures=(lie,))), keys=[WITNESS_KEY])
    with pytest.raises(NotAuthentic):
        open_note(bytes(Note(text="Another text.\n", signatures=(line,))), keys=[WITNESS_KEY])


LINE = str(sign_note(TEXT, [SIGNER]).signatures[0])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        f"{TEXT}{LINE}".encode(),  # no empty line between
        f"{TEXT}\n{LINE}"[:-1].encode(),  # no newline at the end
        f"{TEXT}\n{LINE}\n".encode(),  # an empty line at the end
        f"{TEXT}\n{LINE} \n".encode(),
        f"{TEXT}\n- {LINE[2:]}".encode(),  # a hyphen for the dash
        f"{TEXT}\n{LINE.replace('log.', 'log+')}".encode(),
        f"{TEXT}\n{LINE.replace('log.', 'log' + chr(0xA0))}".encode(),
        f"{TEXT}\n— name AAAAAA==\n".encode(),  # a key ID and nothing else
        f"{TEXT}\n— name !!!!\n".encode(),
        f"{TEXT}\tTab\n\n{LINE}".encode(),
        f"{TEXT}\r\n\n{LINE}".encode(),
        b"\xff" + f"{TEXT}\n{LINE}".encode(),
        f"{TEXT}\n{LINE * (MAX_SIGNATURES + 1)}".encode(),
        b"a" * MAX_NOTE_SIZE + f"\n\n{LINE}".encode(),
    ],
    ids=range(18),
)
def test_what_is_not_a_note_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_note(data)


def test_sixteen_signatures_are_allowed() -> None:
    signers = [NoteSigner.from_seed(f"signer{number}", bytes([number]) * 32) for number in range(16)]
    assert len(parse_note(bytes(sign_note(TEXT, signers))).signatures) == 16


@pytest.mark.parametrize("text", ["", "no newline at the end", "control\x07\n"])
def test_what_no_note_can_hold_is_not_signed(text: str) -> None:
    with pytest.raises(Malformed):
        sign_note(text, [SIGNER])


def test_the_last_empty_line_divides_so_a_text_may_look_like_a_note() -> None:
    inner = bytes(sign_note("inner\n", [NoteSigner.from_seed("inner", bytes(32))])).decode()
    note = sign_note(inner, [SIGNER])
    opened, _ = open_note(bytes(note), keys=[LOG_KEY])
    assert opened.text == inner


def test_a_note_needs_a_signature() -> None:
    with pytest.raises(Malformed):
        sign_note(TEXT, [])


@pytest.mark.parametrize(
    ("name", "public_key"), [("", bytes(32)), ("a b", bytes(32)), ("a+b", bytes(32)), ("a\u2003b", bytes(32))]
)
def test_names_that_would_break_a_note_are_refused(name: str, public_key: bytes) -> None:
    with pytest.raises(Malformed, match="key name"):
        VerifierKey(name=name, public_key=public_key)


def test_keys_and_seeds_have_32_bytes() -> None:
    with pytest.raises(Malformed, match="32 bytes"):
        VerifierKey(name="name", public_key=bytes(31))
    with pytest.raises(Malformed, match="32 bytes"):
        NoteSigner.from_seed("name", bytes(33))


@pytest.mark.parametrize(
    "text",
    [
        "name",
        "name+00000000",
        f"name+00000000+{b64encode(b'')}",
        str(LOG_KEY).replace(LOG_KEY.key_id.hex(), "00000000"),
        str(LOG_KEY).replace(LOG_KEY.key_id.hex(), LOG_KEY.key_id.hex().upper()),
        str(LOG_KEY) + "=",
        str(LOG_KEY) + "+",
    ],
)
def test_what_is_not_a_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        VerifierKey.parse(text)


def test_a_signer_does_not_show_its_key() -> None:
    secret: Any = SIGNER.private_key.private_bytes_raw()
    assert secret.hex() not in repr(SIGNER)
    assert "private_key" not in repr(SIGNER)
