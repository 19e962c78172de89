"""Recipients and identities as text."""

from __future__ import annotations

import pytest

from hermetic.errors import Malformed
from hermetic.seal import (
    FileKey,
    Identity,
    generate_identity,
    parse_identities,
    parse_identity,
    parse_recipient,
    parse_recipients,
)
from hermetic.seal.age import HybridIdentity, HybridRecipient, X25519Identity, _bech32
from seal_support import CLASSIC, HYBRID, IDENTITIES

# C2SP age, "The X25519 recipient type": identity and recipient printed in the specification.
SPEC_IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
SPEC_RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
# C2SP age, "MLKEM768-X25519": the identity, and both ends of its 1959-character recipient.
SPEC_PQ_IDENTITY = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR"
SPEC_PQ_BEGINNING = "age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxshfg87pzf5zrqtzdxz95paef6caq5aapdmwjjqpjf"
SPEC_PQ_END = "gjtqmwze9pyyzk3tlhl53k2ykx3qheyty7saeq0d3fzv49zc0k"


def test_the_specification_s_keys() -> None:
    assert str(parse_identity(SPEC_IDENTITY).recipient()) == SPEC_RECIPIENT
    recipient = str(parse_identity(SPEC_PQ_IDENTITY).recipient())
    assert len(recipient) == 1959
    assert recipient.startswith(SPEC_PQ_BEGINNING)
    assert recipient.endswith(SPEC_PQ_END)


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_keys_survive_their_text(identity: Identity) -> None:
    assert parse_identity(identity.reveal()).secret == identity.secret
    assert parse_recipient(str(identity.recipient())) == identity.recipient()


def test_post_quantum_is_the_default() -> None:
    assert isinstance(generate_identity(), HybridIdentity)
    assert isinstance(generate_identity(classic=True), X25519Identity)


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_no_secret_in_a_repr(identity: Identity) -> None:
    for shown in (repr(identity), str(identity), f"{[identity]}"):
        assert "redacted" in shown
        assert identity.reveal() not in shown
        assert repr(identity.secret) not in shown
        assert identity.secret.hex() not in shown
    key = FileKey.generate()
    assert repr(key) == "FileKey(<redacted>)"


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_file_key_has_sixteen_bytes(length: int) -> None:
    with pytest.raises(Malformed):
        FileKey(secret=bytes(length))


def test_a_secret_key_is_not_taken_for_a_recipient_nor_quoted() -> None:
    for identity in IDENTITIES.values():
        with pytest.raises(Malformed, match="secret key") as refusal:
            parse_recipient(identity.reveal())
        assert identity.reveal() not in str(refusal.value)


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_a_key_s_case_is_part_of_its_spelling(identity: Identity) -> None:
    with pytest.raises(Malformed):
        parse_identity(identity.reveal().lower())
    with pytest.raises(Malformed):
        parse_recipient(str(identity.recipient()).upper())


@pytest.mark.parametrize(
    ("prefix", "length"),
    [("age", 31), ("age", 33), ("age1pq", 1215), ("age1pq", 1217), ("age1pq", 32), ("age1tag", 33), ("npub", 32)],
)
def test_recipients_of_another_length_or_kind_are_refused(prefix: str, length: int) -> None:
    with pytest.raises(Malformed):
        parse_recipient(_bech32.encode(prefix, bytes(length)))


@pytest.mark.parametrize("prefix", ["age1tag", "age1tagpq", "age1yubikey", "npub"])
def test_other_kinds_of_recipients_are_told_from_damaged_ones(prefix: str) -> None:
    with pytest.raises(Malformed, match="not a recipient"):
        parse_recipient(_bech32.encode(prefix, bytes(32)))


@pytest.mark.parametrize(
    ("prefix", "length"), [("AGE-SECRET-KEY-", 31), ("AGE-SECRET-KEY-PQ-", 33), ("AGE-PLUGIN-X-", 32), ("AGE", 32)]
)
def test_identities_of_another_length_or_kind_are_refused(prefix: str, length: int) -> None:
    with pytest.raises(Malformed):
        parse_identity(_bech32.encode(prefix, bytes(length)))


def test_an_identity_is_not_read_from_a_recipient() -> None:
    with pytest.raises(Malformed, match="not an identity"):
        parse_identity(SPEC_RECIPIENT)


def test_a_recipient_that_is_no_public_key_is_refused_when_sealing() -> None:
    # ML-KEM's coefficients are taken modulo 3329; all ones is none of their encodings (FIPS 203 §7.2).
    with pytest.raises(Malformed):
        HybridRecipient(public=b"\xff" * 1216).wrap(FileKey.generate())


def test_a_low_order_recipient_is_refused_when_sealing() -> None:
    with pytest.raises(Malformed, match="low order"):
        parse_recipient(_bech32.encode("age", bytes(32))).wrap(FileKey.generate())


def test_key_files_have_comments_and_several_keys() -> None:
    text = f"# created: today\n\n{HYBRID.reveal()}\n  {CLASSIC.reveal()}  \n"
    assert [identity.secret for identity in parse_identities(text)] == [HYBRID.secret, CLASSIC.secret]
    recipients = f"# team\r\n{HYBRID.recipient()}\r\n{CLASSIC.recipient()}\r\n"
    assert parse_recipients(recipients) == (HYBRID.recipient(), CLASSIC.recipient())


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_key_file_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match="holds no"):
        parse_identities(text)
    with pytest.raises(Malformed, match="holds no"):
        parse_recipients(text)


def test_a_bad_line_is_named_by_number_and_not_quoted() -> None:
    secret = HYBRID.reveal()
    other = "P" if secret.endswith("Q") else "Q"
    with pytest.raises(Malformed, match="line 2") as refusal:
        parse_identities(f"{CLASSIC.reveal()}\n{secret[:-1]}{other}\n")
    assert secret[:40] not in str(refusal.value)
