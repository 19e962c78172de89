"""EHBP against its published vectors, against an independent client, and against whoever is in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

import ehbp as independent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.channel import ehbp
from hermetic.channel._response import MESSAGE_LIMIT, ResponseCipher, derive
from hermetic.channel.kem import X25519PrivateKey
from hermetic.channel.refusals import BodyTooLarge, Replayed, ReplayMemoryFull
from hermetic.channel.replay import ReplayCache
from hermetic.errors import ChannelBroken, Malformed
from vectors import ROOT, needs_vectors

KEY = X25519PrivateKey(bytes(range(32)))
VECTORS = ROOT / "independent" / "ehbp"


def vector(name: str) -> dict[str, bytes]:
    return {key: bytes.fromhex(value) for key, value in json.loads((VECTORS / name).read_bytes()).items()}


def server_for(header: str, *, max_body: int = 1 << 20, key: ehbp.ServerKey | None = None) -> ehbp.RequestOpener:
    return ehbp.RequestOpener(key or ehbp.ServerKey(private_key=KEY), header, max_body=max_body)


def exchange(body: bytes = b"hello") -> tuple[ehbp.RequestSealer, ehbp.RequestOpener]:
    """A client and a server that share a context."""
    client = ehbp.RequestSealer(KEY.public_key())
    server = server_for(client.header)
    assert server.push(client.push(body)) == [body]
    return client, server


def opener_of(client: ehbp.RequestSealer, sealer: ehbp.ResponseSealer) -> ehbp.ResponseOpener:
    opener = client.response_opener(status=200, nonces=[sealer.header])
    assert opener is not None
    return opener


def open_request(message: bytes) -> bytes:
    """``message`` is the encapsulated key and the sealed body."""
    server = server_for(message[:32].hex())
    body = b"".join(server.push(message[32:]))
    server.finish()
    return body


def open_response(client: ehbp.RequestSealer, message: bytes) -> bytes:
    """``message`` is the response's nonce and its sealed body."""
    opener = client.response_opener(status=200, nonces=[message[:32].hex()])
    assert opener is not None
    body = b"".join(opener.push(message[32:]))
    opener.finish()
    return body


# Vectors and an independent implementation


@needs_vectors
def test_response_keys_match_the_vector() -> None:
    data = vector("derive.json")
    keys = derive(secret=data["exportedSecret"], enc=data["requestEnc"], nonce=data["responseNonce"])
    assert keys == (data["derivedKey"], data["derivedNonceBase"])


@needs_vectors
def test_responses_match_the_vector_in_both_directions() -> None:
    data = vector("response-decryption.json")
    nonce = data["responseNonce"]

    def cipher() -> ResponseCipher:
        return ResponseCipher(secret=data["exportedSecret"], enc=data["requestEnc"], nonce=nonce)

    opener = ehbp.ResponseOpener(cipher())
    assert opener.push(data["encryptedResponse"]) == [data["plaintext"]]
    opener.finish()
    assert ehbp.ResponseSealer(cipher(), nonce).push(data["plaintext"]) == data["encryptedResponse"]


def test_the_key_configuration_is_the_independent_clients_too() -> None:
    config = ehbp.encode_key_config(KEY.public_key())
    assert len(config) == 41
    assert independent.ServerIdentity.unmarshal_public_config(config).public_key_bytes() == KEY.public_key().raw
    assert independent.ServerIdentity.from_public_key_bytes(KEY.public_key().raw).marshal_public_config() == config
    assert ehbp.parse_key_config(config) == KEY.public_key()


@given(chunks=st.lists(st.binary(max_size=300), max_size=5), answer=st.lists(st.binary(max_size=300), max_size=5))
def test_the_independent_client_is_served(chunks: list[bytes], answer: list[bytes]) -> None:
    identity = independent.ServerIdentity.from_public_key_bytes(KEY.public_key().raw)
    request = identity.encrypt_request_stream(iter([b"x", *chunks]))
    assert request is not None
    frames = b"".join(cast("Iterator[bytes]", request.frames))
    server = server_for(request.encapsulated_key.hex())
    assert b"".join(server.push(frames)) == b"x" + b"".join(chunks)
    server.finish()

    sealer = server._response_sealer(bytes(32))
    keys = independent.derive_response_keys(request.token.exported_secret, request.token.request_enc, bytes(32))
    decryptor = independent.FrameDecryptor(keys)
    for part in answer:
        assert b"".join(decryptor.push(sealer.push(part))) == part
    decryptor.finish()


# Round trips


@given(
    writes=st.lists(st.binary(max_size=400), min_size=1, max_size=6),
    cuts=st.lists(st.integers(min_value=1, max_value=97), min_size=1, max_size=8),
)
def test_bodies_survive_any_writes_and_any_cuts(writes: list[bytes], cuts: list[int]) -> None:
    body = b"".join(writes) or b"x"
    client = ehbp.RequestSealer(KEY.public_key())
    server = server_for(client.header)
    sealed = b"".join(map(client.push, writes)) or client.push(body)
    assert b"".join(part for piece in cut(sealed, cuts) for part in server.push(piece)) == body
    server.finish()

    sealer = server.response_sealer()
    opener = opener_of(client, sealer)
    answer = b"".join(map(sealer.push, writes))
    assert b"".join(part for piece in cut(answer, cuts) for part in opener.push(piece)) == b"".join(writes)
    opener.finish()


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    pieces, start, index = [], 0, 0
    while start < len(data):
        pieces.append(data[start : start + lengths[index % len(lengths)]])
        start += lengths[index % len(lengths)]
        index += 1
    return pieces


def test_one_frame_a_write_and_large_writes_in_several() -> None:
    client, server = exchange()
    sealer = server.response_sealer()
    opener = opener_of(client, sealer)
    assert opener.push(sealer.push(b"data: one\n\n") + sealer.push(b"data: two\n\n")) == [
        b"data: one\n\n",
        b"data: two\n\n",
    ]
    assert [len(part) for part in opener.push(sealer.push(bytes(150_000)))] == [65_536, 65_536, 18_928]
    assert sealer.push(b"") == b""


# What is refused


@pytest.mark.parametrize(
    "config",
    [
        b"",
        ehbp.encode_key_config(KEY.public_key())[:-1],
        ehbp.encode_key_config(KEY.public_key()) + b"\x00",
        b"\x00\x29" + ehbp.encode_key_config(KEY.public_key()),  # RFC 9458's length prefix, which EHBP leaves out
        b"\x01" + ehbp.encode_key_config(KEY.public_key())[1:],  # another key id
        ehbp.encode_key_config(KEY.public_key())[:-1] + b"\x01",  # AES-128-GCM
        ehbp.encode_key_config(KEY.public_key())[:-3] + b"\x03\x00\x02",  # HKDF-SHA512
    ],
)
def test_other_key_configurations_are_refused(config: bytes) -> None:
    with pytest.raises(Malformed):
        ehbp.parse_key_config(config)


@pytest.mark.parametrize(
    "header", ["", "00" * 31, "00" * 33, "0G" * 32, KEY.public_key().raw.hex().upper(), "00" * 32, " " + "11" * 32]
)
def test_malformed_encapsulated_keys_are_refused(header: str) -> None:
    with pytest.raises(Malformed):
        server_for(header)


def test_a_stale_key_is_told_from_a_broken_body() -> None:
    stale = ehbp.RequestSealer(X25519PrivateKey.generate().public_key())
    server = server_for(stale.header)
    with pytest.raises(ehbp.KeyMismatch):
        server.push(stale.push(b"sealed to a key of yesterday"))
    assert not server.opened

    client = ehbp.RequestSealer(KEY.public_key())
    server = server_for(client.header)
    first, second = client.push(b"first"), client.push(b"second")
    assert server.push(first) == [b"first"]
    assert server.opened
    with pytest.raises(ChannelBroken) as refusal:
        server.push(second[:-1] + bytes([second[-1] ^ 1]))
    assert not isinstance(refusal.value, ehbp.KeyMismatch)


def test_an_input_that_ends_inside_a_frame_or_before_one_is_refused() -> None:
    client = ehbp.RequestSealer(KEY.public_key())
    sealed = client.push(b"hello")
    for length in range(len(sealed)):
        server = server_for(client.header)
        server.push(sealed[:length])
        with pytest.raises(ChannelBroken):
            server.finish()
    server = server_for(client.header)
    assert server.push(sealed + client.push(b"second")[:-1]) == [b"hello"]
    with pytest.raises(ChannelBroken, match="inside a frame"):
        server.finish()
    server = server_for(client.header)
    server.push(b"\x00\x00\x00\x00")  # an empty frame is not a body
    with pytest.raises(ChannelBroken, match="at least one frame"):
        server.finish()


def test_a_response_that_ends_inside_a_frame_is_refused() -> None:
    client, server = exchange()
    sealer = server.response_sealer()
    sealed = sealer.push(b"hello")
    for length in range(1, len(sealed)):
        opener = opener_of(client, sealer)
        opener.push(sealed[:length])
        with pytest.raises(ChannelBroken):
            opener.finish()


def test_an_over_long_frame_is_refused_from_its_prefix() -> None:
    client, server = exchange()
    opener = opener_of(client, server.response_sealer())
    for end in (server, opener):
        with pytest.raises(ChannelBroken, match="announces"):
            end.push((ehbp.MAX_FRAME + 1).to_bytes(4, "big"))
    small = server_for(client.header, max_body=84)
    with pytest.raises(ChannelBroken, match="announces"):
        small.push((101).to_bytes(4, "big"))


def test_frames_repeated_or_reordered_are_refused() -> None:
    client, server = exchange()
    sealer = server.response_sealer()
    one, two = sealer.push(b"one"), sealer.push(b"two")
    for forged in (two + one, one + one, one + one + two):
        with pytest.raises(ChannelBroken):
            opener_of(client, sealer).push(forged)


def test_no_bit_of_a_request_can_be_flipped() -> None:
    client = ehbp.RequestSealer(KEY.public_key())
    sealed = bytes.fromhex(client.header) + client.push(b"hello")
    assert open_request(sealed) == b"hello"
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ChannelBroken, Malformed)):
            open_request(bytes(forged))


def test_no_bit_of_a_response_can_be_flipped() -> None:
    client, server = exchange()
    sealer = server.response_sealer()
    sealed = bytes.fromhex(sealer.header) + sealer.push(b"hello")
    assert open_response(client, sealed) == b"hello"
    for bit in range(8 * len(sealed)):
        forged = bytearray(sealed)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChannelBroken):
            open_response(client, bytes(forged))


def test_a_replay_is_refused_and_can_be_answered_inside() -> None:
    key = ehbp.ServerKey(private_key=KEY)
    client = ehbp.RequestSealer(KEY.public_key())
    sealed = client.push(b"hello")
    assert server_for(client.header, key=key).push(sealed) == [b"hello"]
    server = server_for(client.header, key=key)
    with pytest.raises(Replayed):
        server.push(sealed)
    assert opener_of(client, server.response_sealer())


def test_a_full_memory_refuses_and_a_forged_body_takes_no_room() -> None:
    key = ehbp.ServerKey(private_key=KEY, seen=ReplayCache(capacity=1))
    client, other = ehbp.RequestSealer(KEY.public_key()), ehbp.RequestSealer(KEY.public_key())
    with pytest.raises(ehbp.KeyMismatch):
        server_for(client.header, key=key).push(other.push(b"x"))
    assert server_for(client.header, key=key).push(client.push(b"hello")) == [b"hello"]
    fresh = ehbp.RequestSealer(KEY.public_key())
    with pytest.raises(ReplayMemoryFull):
        server_for(fresh.header, key=key).push(fresh.push(b"hello"))


def test_a_body_above_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    client = ehbp.RequestSealer(KEY.public_key())
    sealed = client.push(bytes(600)) + client.push(bytes(400))
    assert b"".join(server_for(client.header, max_body=1000).push(sealed)) == bytes(1000)
    with pytest.raises(BodyTooLarge):
        server_for(client.header, max_body=999).push(sealed)


def test_frames_without_content_do_not_go_on_for_ever() -> None:
    server = server_for(ehbp.RequestSealer(KEY.public_key()).header, max_body=1000)
    assert server.push(b"\x00" * 4 * 32_000) == []
    with pytest.raises(BodyTooLarge):
        server.push(b"\x00" * 4 * 2_000)


def test_what_ehbp_lets_a_network_do() -> None:
    """The written malleability list: empty frames come and go, and a stream can be cut between two frames."""
    client, server = exchange()
    sealer = server.response_sealer()
    do, not_send = sealer.push(b"Do "), sealer.push(b"NOT send it.")
    empty = b"\x00\x00\x00\x00"
    opener = opener_of(client, sealer)
    assert opener.push(empty + do + empty + not_send + empty) == [b"Do ", b"NOT send it."]
    opener.finish()
    opener = opener_of(client, sealer)
    assert opener.push(do) == [b"Do "]
    opener.finish()


def test_a_success_in_clear_is_refused_and_an_error_in_clear_is_nobodys() -> None:
    client, server = exchange()
    nonce = server.response_sealer().header
    for status in (200, 204, 299):
        with pytest.raises(ChannelBroken) as refusal:
            client.response_opener(status=status, nonces=[])
        assert refusal.value.code == "unsealed_response"
    for status in (199, 302, 400, 422, 500):
        assert client.response_opener(status=status, nonces=[]) is None
        assert client.response_opener(status=status, nonces=[nonce]) is not None
        with pytest.raises(ChannelBroken):
            client.response_opener(status=status, nonces=[nonce, nonce])
    for malformed in ("", "00" * 31, "GG" * 32, nonce.upper() if nonce.upper() != nonce else "AA" * 32):
        with pytest.raises(Malformed):
            client.response_opener(status=200, nonces=[malformed])


def test_two_answers_never_share_a_key() -> None:
    _, server = exchange()
    one, two = server.response_sealer(), server.response_sealer()
    assert one.header != two.header
    assert one.push(b"same") != two.push(b"same")


def test_a_response_refuses_to_repeat_a_nonce() -> None:
    cipher = ResponseCipher(secret=bytes(32), enc=bytes(32), nonce=bytes(32))
    cipher._sequence = MESSAGE_LIMIT - 1
    last = cipher.seal(b"last")
    with pytest.raises(ChannelBroken, match="message limit"):
        cipher.seal(b"one more")
    with pytest.raises(ChannelBroken, match="message limit"):
        cipher.open(last)
    assert repr(cipher) == f"ResponseCipher(<redacted>, sequence={MESSAGE_LIMIT})"
