"""HPKE contexts against RFC 9180's own vectors and against three other implementations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from Crypto.Protocol import HPKE
from Crypto.PublicKey import Hybrid
from cryptography.hazmat.primitives import hpke as single_shot
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from hypothesis import given
from hypothesis import strategies as st
from pyhpke import AEADId, CipherSuite, KDFId, KEMId

from hermetic.channel import hpke, kem
from hermetic.errors import ChannelBroken, Malformed
from vectors import ROOT, needs_vectors

X25519 = kem.X25519PrivateKey(bytes(range(32)))
XWING = kem.XWingPrivateKey(bytes(range(32)))
each_kem = pytest.mark.parametrize("key", [X25519, XWING], ids=["x25519", "x-wing"])


def base_mode_x25519_vectors() -> list[dict[str, Any]]:
    vectors = json.loads((ROOT / "independent/hpke-rfc9180/vectors_rfc9180_5f503c5.json").read_bytes())
    export_only = 0xFFFF
    return [
        vector
        for vector in vectors
        if (vector["mode"], vector["kem_id"]) == (0, 0x0020) and vector["aead_id"] != export_only
    ]


@needs_vectors
def test_rfc9180_vectors_seal_open_and_export() -> None:
    messages = exports = 0
    for vector in base_mode_x25519_vectors():
        info, skr, ske, pkr, enc, shared = (
            bytes.fromhex(vector[name]) for name in ("info", "skRm", "skEm", "pkRm", "enc", "shared_secret")
        )
        private_key = kem.X25519PrivateKey(skr)
        assert private_key.public_key().raw == pkr
        assert private_key.decapsulate(enc) == shared
        ephemeral = x25519.X25519PrivateKey.from_private_bytes(ske)
        encapsulated = kem._x25519_encapsulate(private_key.public_key(), ephemeral)
        assert encapsulated == (shared, enc)

        suite = hpke.Suite(kdf=hpke.Kdf(vector["kdf_id"]), aead=hpke.Aead(vector["aead_id"]))
        sender = hpke._sender(private_key.kem_id, encapsulated, info, suite)
        recipient = hpke.setup_recipient(private_key, enc, info, suite=suite)
        for message in vector["encryptions"]:
            plaintext, aad, ciphertext = (bytes.fromhex(message[name]) for name in ("pt", "aad", "ct"))
            assert sender.seal(plaintext, aad) == ciphertext
            assert recipient.open(ciphertext, aad) == plaintext
            messages += 1
        for export in vector["exports"]:
            context, length = bytes.fromhex(export["exporter_context"]), export["L"]
            assert sender.export(context, length).hex() == export["exported_value"]
            assert recipient.export(context, length).hex() == export["exported_value"]
            exports += 1
    assert (messages, exports) == (1_542, 18)


def test_pyhpke_opens_ours_and_we_open_its() -> None:
    suite = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
    ours = hpke.setup_sender(X25519.public_key(), b"info")
    their_key = suite.kem.deserialize_private_key(X25519.private_bytes())
    theirs = suite.create_recipient_context(ours.enc, their_key, info=b"info")
    for plaintext in (b"", b"one", b"two" * 1000):
        assert theirs.open(ours.seal(plaintext, b"aad"), b"aad") == plaintext
    assert theirs.export(b"label", 40) == ours.export(b"label", 40)

    enc, their_sender = suite.create_sender_context(
        suite.kem.deserialize_public_key(X25519.public_key().raw), info=b"info"
    )
    our_recipient = hpke.setup_recipient(X25519, enc, b"info")
    for plaintext in (b"", b"one", b"two" * 1000):
        assert our_recipient.open(their_sender.seal(plaintext, b"aad"), b"aad") == plaintext


def test_pycryptodome_opens_ours_and_we_open_its_over_x_wing() -> None:
    aead = HPKE.AEAD.AES256_GCM
    their_key = Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, seed=XWING.private_bytes())
    assert their_key._pk == XWING.public_key().raw

    ours = hpke.setup_sender(XWING.public_key(), b"info")
    theirs = HPKE.new(receiver_key=their_key, aead_id=aead, enc=ours.enc, info=b"info")
    for plaintext in (b"", b"one", b"two" * 1000):
        assert theirs.unseal(ours.seal(plaintext, b"aad"), b"aad") == plaintext
    assert theirs.export(b"label", 40) == ours.export(b"label", 40)

    their_sender = HPKE.new(receiver_key=their_key.public_key(), aead_id=aead, info=b"info")
    our_recipient = hpke.setup_recipient(XWING, their_sender.enc, b"info")
    for plaintext in (b"", b"one", b"two" * 1000):
        assert our_recipient.open(their_sender.seal(plaintext, b"aad"), b"aad") == plaintext


def test_cryptography_opens_our_x_wing_box_and_we_open_its() -> None:
    suite = single_shot.Suite(
        single_shot.KEM.MLKEM768_X25519, single_shot.KDF.HKDF_SHA256, single_shot.AEAD.AES_256_GCM
    )
    public = XWING.public_key()
    their_public = single_shot.MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(public.raw[:1184]),
        x25519.X25519PublicKey.from_public_bytes(public.raw[1184:]),
    )
    their_private = single_shot.MLKEM768X25519PrivateKey(XWING._mlkem, XWING._x25519)
    assert suite.decrypt(hpke.seal_to(public, b"info", b"", b"a key"), their_private, b"info") == b"a key"
    assert hpke.open_from(XWING, b"info", b"", suite.encrypt(b"a key", their_public, b"info")) == b"a key"


@each_kem
@given(info=st.binary(max_size=64), messages=st.lists(st.tuples(st.binary(max_size=200), st.binary(max_size=40))))
def test_what_is_sealed_opens_in_order(
    key: kem.KemPrivateKey, info: bytes, messages: list[tuple[bytes, bytes]]
) -> None:
    sender = hpke.setup_sender(key.public_key(), info)
    recipient = hpke.setup_recipient(key, sender.enc, info)
    for plaintext, aad in messages:
        ciphertext = sender.seal(plaintext, aad)
        assert len(ciphertext) == len(plaintext) + hpke.TAG_LENGTH
        assert recipient.open(ciphertext, aad) == plaintext


@each_kem
def test_no_bit_of_a_box_can_be_flipped(key: kem.KemPrivateKey) -> None:
    box = hpke.seal_to(key.public_key(), b"info", b"aad", b"short")
    assert hpke.open_from(key, b"info", b"aad", box) == b"short"
    for bit in range(8 * len(box)):
        forged = bytearray(box)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ChannelBroken, Malformed)):
            hpke.open_from(key, b"info", b"aad", bytes(forged))


@each_kem
def test_a_box_opens_under_its_own_info_and_aad_only(key: kem.KemPrivateKey) -> None:
    box = hpke.seal_to(key.public_key(), b"info", b"aad", b"a key")
    for info, aad in ((b"infp", b"aad"), (b"info", b"aae"), (b"infoa", b"ad")):
        with pytest.raises(ChannelBroken):
            hpke.open_from(key, info, aad, box)
    for length in (0, key.enc_length, key.enc_length + hpke.TAG_LENGTH - 1):
        with pytest.raises(Malformed):
            hpke.open_from(key, b"info", b"aad", box[:length])


@each_kem
def test_another_key_opens_nothing(key: kem.X25519PrivateKey | kem.XWingPrivateKey) -> None:
    box = hpke.seal_to(key.public_key(), b"", b"", b"a key")
    with pytest.raises(ChannelBroken):
        hpke.open_from(type(key)(bytes(32)), b"", b"", box)


def test_messages_open_in_their_own_place_only() -> None:
    sender = hpke.setup_sender(X25519.public_key(), b"")
    first, second = sender.seal(b"first"), sender.seal(b"second")
    recipient = hpke.setup_recipient(X25519, sender.enc, b"")
    with pytest.raises(ChannelBroken):
        recipient.open(second)
    assert recipient.open(first) == b"first"  # a failure moves nothing
    with pytest.raises(ChannelBroken):
        recipient.open(first)
    assert recipient.open(second) == b"second"


def test_a_ciphertext_shorter_than_its_tag_does_not_open() -> None:
    recipient = hpke.setup_recipient(X25519, hpke.setup_sender(X25519.public_key(), b"").enc, b"")
    for length in range(hpke.TAG_LENGTH):
        with pytest.raises(ChannelBroken):
            recipient.open(bytes(length))


def test_a_context_refuses_to_repeat_a_nonce() -> None:
    sender = hpke.setup_sender(X25519.public_key(), b"")
    recipient = hpke.setup_recipient(X25519, sender.enc, b"")
    sender._sequence = recipient._sequence = hpke.MESSAGE_LIMIT - 1
    last = sender.seal(b"last")
    assert recipient.open(last) == b"last"
    with pytest.raises(ChannelBroken, match="message limit"):
        sender.seal(b"one more")
    with pytest.raises(ChannelBroken, match="message limit"):
        recipient.open(last)


def test_an_export_has_an_upper_length() -> None:
    sender = hpke.setup_sender(X25519.public_key(), b"")
    assert len(sender.export(b"", 255 * 32)) == 255 * 32
    with pytest.raises(ValueError, match="8160"):
        sender.export(b"", 255 * 32 + 1)


def test_contexts_show_no_secret() -> None:
    sender = hpke.setup_sender(X25519.public_key(), b"")
    recipient = hpke.setup_recipient(X25519, sender.enc, b"")
    assert repr(sender) == "Sender(<redacted>, sequence=0)"
    assert repr(recipient) == "Recipient(<redacted>, sequence=0)"
