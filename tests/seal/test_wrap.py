"""Who can unwrap a file key, and who cannot."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.seal import FileKey, Header, Identity, generate_identity, parse_header, unwrap, verify_mac
from hermetic.seal.age import Stanza, _base64, make_header
from hermetic.seal.age.header import unsigned_header
from seal_support import CLASSIC, HYBRID, IDENTITIES, STRANGER, opened, sealed


def signed(file_key: FileKey, *listed: Stanza) -> Header:
    """A header whose MAC holds, whatever its stanzas say."""
    covered = unsigned_header(listed)
    return parse_header(covered + b" " + _base64.encode(file_key.header_mac(covered)) + b"\n")


@pytest.mark.parametrize("classic", [False, True])
def test_each_recipient_can_open_and_nobody_else(classic: bool) -> None:
    identities = [generate_identity(classic=classic) for _ in range(3)]
    key = FileKey.generate()
    header = make_header(key, [identity.recipient() for identity in identities])
    for identity in identities:
        assert unwrap(header, identity).secret == key.secret
        assert unwrap(header, STRANGER, identity).secret == key.secret
    for stranger in (HYBRID, CLASSIC, STRANGER):
        with pytest.raises(NotAuthentic):
            unwrap(header, stranger)


def test_no_identity_opens_nothing() -> None:
    with pytest.raises(NotAuthentic):
        unwrap(make_header(FileKey.generate(), [HYBRID.recipient()]))


def test_no_recipient_is_refused() -> None:
    with pytest.raises(Misconfigured):
        make_header(FileKey.generate(), [])


def test_post_quantum_and_classic_are_never_mixed() -> None:
    with pytest.raises(Misconfigured, match="share"):
        make_header(FileKey.generate(), [HYBRID.recipient(), CLASSIC.recipient()])


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_every_cryptographic_refusal_reads_the_same(identity: Identity) -> None:
    """A wrong key and a broken MAC must not be told apart by whoever can ask for unwrapping."""
    key = FileKey.generate()
    stanza = identity.recipient().wrap(key)
    wrong_mac = parse_header(unsigned_header([stanza]) + b" " + _base64.encode(bytes(32)) + b"\n")
    texts = set()
    for header, who in ((wrong_mac, identity), (signed(key, stanza), STRANGER)):
        with pytest.raises(NotAuthentic) as refusal:
            unwrap(header, who)
        texts.add((str(refusal.value), refusal.value.code))
    with pytest.raises(NotAuthentic) as refusal:
        verify_mac(signed(key, stanza), FileKey.generate())
    texts.add((str(refusal.value), refusal.value.code))
    assert len(texts) == 1


def test_verify_mac_accepts_the_right_key() -> None:
    key = FileKey.generate()
    verify_mac(make_header(key, [HYBRID.recipient()]), key)


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_unknown_stanzas_are_ignored(identity: Identity) -> None:
    """C2SP age, "Recipient stanza": identities ignore what they do not recognise."""
    key = FileKey.generate()
    grease = Stanza(kind="xyz-grease", arguments=("7",), body=b"anything")
    header = signed(key, grease, identity.recipient().wrap(key), grease)
    assert unwrap(header, identity).secret == key.secret


def misshapen(stanza: Stanza) -> dict[str, Stanza]:
    (argument,) = stanza.arguments
    share = base64.b64decode(argument + "=" * (-len(argument) % 4))

    def changed(arguments: Sequence[str] | None = None, body: bytes | None = None) -> Stanza:
        return Stanza(
            kind=stanza.kind,
            arguments=stanza.arguments if arguments is None else tuple(arguments),
            body=stanza.body if body is None else body,
        )

    return {
        "no argument": changed([]),
        "two arguments": changed([argument, "x"]),
        "share too short": changed([_base64.encode(share[:-1]).decode()]),
        "share too long": changed([_base64.encode(share + b"x").decode()]),
        "share padded": changed([base64.b64encode(share).decode() + ("" if len(share) % 3 else "=")]),
        "share not base64": changed(["!" + argument[1:]]),
        "body too short": changed(body=stanza.body[:-1]),
        "body too long": changed(body=stanza.body + b"\0"),
        "body empty": changed(body=b""),
    }


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_misshapen_stanzas_are_refused_wherever_they_stand(identity: Identity) -> None:
    key = FileKey.generate()
    good = identity.recipient().wrap(key)
    for bad in misshapen(good).values():
        for listed in ((bad,), (bad, good), (good, bad)):
            with pytest.raises(Malformed):
                unwrap(signed(key, *listed), identity)


def test_a_body_that_holds_a_longer_key_is_refused_before_it_is_decrypted() -> None:
    """C2SP age asks for the length check first: a long body could be made to open under many keys."""
    for identity in IDENTITIES.values():
        stanza = identity.recipient().wrap(FileKey.generate())
        long = Stanza(kind=stanza.kind, arguments=stanza.arguments, body=stanza.body * 3)
        with pytest.raises(Malformed, match="body is 32 bytes"):
            identity.unwrap(long)


@pytest.mark.parametrize("share", [bytes(32), b"\x01" + bytes(31)])
def test_low_order_shares_are_refused(share: bytes) -> None:
    stanza = Stanza(kind="X25519", arguments=(_base64.encode(share).decode(),), body=bytes(32))
    with pytest.raises(Malformed, match="low order"):
        CLASSIC.unwrap(stanza)


def test_a_low_order_half_of_an_encapsulation_opens_nothing() -> None:
    key = FileKey.generate()
    stanza = HYBRID.recipient().wrap(key)
    (argument,) = stanza.arguments
    mlkem = _base64.decode(argument.encode(), what="test")[:1088]
    bad = Stanza(kind=stanza.kind, arguments=(_base64.encode(mlkem + bytes(32)).decode(),), body=stanza.body)
    with pytest.raises(NotAuthentic):
        unwrap(signed(key, bad), HYBRID)


def test_a_passphrase_file_says_what_to_do() -> None:
    key = FileKey.generate()
    header = signed(key, Stanza(kind="scrypt", arguments=("AAAA", "18"), body=bytes(32)))
    with pytest.raises(NotAuthentic, match="passphrase"):
        unwrap(header, HYBRID)


def test_two_seals_share_nothing() -> None:
    first, second = (sealed(b"the same") for _ in range(2))
    assert first != second
    assert not set(first.split(b"\n")[1:3]) & set(second.split(b"\n")[1:3])
    assert opened(first) == opened(second) == b"the same"
