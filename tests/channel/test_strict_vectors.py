"""The strict profile against a second implementation, through the published vectors and live, in both directions."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import second_strict
import second_strict_vectors
from hermetic.channel import hpke, strict
from hermetic.channel._response import ResponseCipher
from hermetic.channel.kem import Encapsulated, XWingPrivateKey
from hermetic.errors import ChannelBroken, Malformed
from hermetic.wire import Digest

DOCUMENT: dict[str, Any] = json.loads(second_strict_vectors.PATH.read_bytes())
SEED = bytes.fromhex(DOCUMENT["server"]["seed"])
ISSUED_AT = second_strict_vectors.ISSUED_AT
NOW = datetime.fromtimestamp(ISSUED_AT / 1000, UTC)
MAX_BODY = 1 << 20

exchanges = pytest.mark.parametrize("vector", DOCUMENT["exchanges"], ids=lambda vector: str(vector["name"]))


def server_key(**other: str) -> strict.ServerKey:
    names = {name: DOCUMENT["server"][name] for name in ("key_id", "keyset_digest", "service")} | other
    return strict.ServerKey(
        private_key=XWingPrivateKey(SEED),
        key_id=names["key_id"],
        keyset_digest=Digest(names["keyset_digest"]),
        service=names["service"],
    )


def unhex(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def body_of(value: dict[str, Any]) -> bytes:
    return bytes.fromhex(value["hex"]) if "hex" in value else second_strict_vectors.pattern(value["pattern"])


def fields_of(value: list[list[str]]) -> strict.Fields:
    return tuple((name.encode("ascii"), text.encode("latin-1")) for name, text in value)


def is_message(data: bytes, expected: dict[str, str]) -> bool:
    return (
        data.hex() == expected["hex"] if "hex" in expected else hashlib.sha256(data).hexdigest() == expected["sha256"]
    )


def open_request(message: bytes, key: strict.ServerKey, method: str, target: str) -> tuple[strict.RequestOpener, bytes]:
    opener = strict.RequestOpener(key, method=method, target=target, now=NOW, max_body=MAX_BODY)
    body = b"".join(opener.push(message))
    opener.finish()
    return opener, body


def open_response(opener: strict.ResponseOpener, message: bytes) -> tuple[strict.ResponseHead | None, bytes]:
    body = b"".join(opener.push(message))
    opener.finish()
    return opener.head, body


def test_the_published_file_is_what_the_second_implementation_writes() -> None:
    assert second_strict_vectors.document() == DOCUMENT


@exchanges
def test_our_requests_are_the_vectors_byte_for_byte(vector: dict[str, Any]) -> None:
    info, shared_secret, enc, nonce = unhex(vector, "info", "shared_secret", "enc", "nonce")
    recipient = server_key().recipient()
    assert recipient.public_key.raw.hex() == DOCUMENT["server"]["public_key"]
    assert recipient.info(vector["method"], vector["target"]) == info
    head = strict.RequestHead(
        issued_at=vector["issued_at"], nonce=nonce, shape=vector["shape"], fields=fields_of(vector["fields"])
    )
    assert head.encode().hex() == vector["request_head"]
    context = hpke._sender(recipient.public_key.kem_id, Encapsulated(shared_secret, enc), info)
    sealer = strict.RequestSealer(context, head, key_id=recipient.key_id, method=vector["method"])
    assert is_message(sealer.push(body_of(vector["body"])) + sealer.finish(), vector["request"])


@exchanges
def test_we_open_the_vectors_requests_and_our_responses_are_theirs(vector: dict[str, Any]) -> None:
    exchange = next(item for item in second_strict_vectors.EXCHANGES if item.name == vector["name"])
    opener, body = open_request(exchange.request, server_key(), vector["method"], vector["target"])
    assert body == body_of(vector["body"])
    assert (opener.head.issued_at, opener.head.shape) == (vector["issued_at"], vector["shape"])
    assert opener.head.fields == fields_of(vector["fields"])

    sealer = opener._response_sealer(bytes.fromhex(vector["response_nonce"]))
    head = strict.ResponseHead(status=vector["status"], fields=fields_of(vector["response_fields"]))
    assert head.encode().hex() == vector["response_head"]
    *writes, last = map(body_of, vector["writes"])
    sealed = sealer.start(head) + b"".join(map(sealer.push, writes)) + sealer.finish(last)
    assert is_message(sealed, vector["response"])


@exchanges
def test_we_open_the_vectors_responses(vector: dict[str, Any]) -> None:
    exchange = next(item for item in second_strict_vectors.EXCHANGES if item.name == vector["name"])
    secret, enc = unhex(vector, "response_secret", "enc")
    opener = strict.ResponseOpener(secret=secret, enc=enc, shape=vector["shape"])
    head, body = open_response(opener, exchange.response)
    assert head == strict.ResponseHead(status=vector["status"], fields=fields_of(vector["response_fields"]))
    assert body == b"".join(map(body_of, vector["writes"]))


@pytest.mark.parametrize("vector", DOCUMENT["refused_requests"], ids=lambda vector: str(vector["name"]))
def test_requests_that_must_be_refused(vector: dict[str, Any]) -> None:
    key = server_key(**{name: vector[name] for name in ("key_id", "keyset_digest", "service")})
    message = bytes.fromhex(vector["message"])
    with pytest.raises((ChannelBroken, Malformed)):
        open_request(message, key, vector["method"], vector["target"])

    info = second_strict.make_info(
        vector["keyset_digest"], vector["service"], vector["method"], vector["target"], vector["key_id"]
    )
    with pytest.raises(second_strict.Disagreement):
        second_strict.open_request(SEED, info, message)


@pytest.mark.parametrize("vector", DOCUMENT["refused_responses"], ids=lambda vector: str(vector["name"]))
def test_responses_that_must_be_refused(vector: dict[str, Any]) -> None:
    chat = DOCUMENT["exchanges"][0]
    secret, enc = unhex(chat, "response_secret", "enc")
    message = bytes.fromhex(vector["message"])
    opener = strict.ResponseOpener(secret=secret, enc=enc, shape=vector["shape"])
    with pytest.raises(ChannelBroken):
        open_response(opener, message)

    with pytest.raises(second_strict.Disagreement):
        second_strict.open_response(second_strict_vectors.CHAT.keys, enc, message, vector["shape"])


@settings(max_examples=40, deadline=None)
@given(
    writes=st.lists(st.binary(max_size=2000), max_size=4),
    answers=st.lists(st.binary(max_size=2000), min_size=1, max_size=4),
    shape=st.sampled_from([0, 9, 12]),
    query=st.text(alphabet="abc=&%2F", max_size=8),
)
def test_the_second_implementation_follows_a_live_exchange(
    writes: list[bytes], answers: list[bytes], shape: int, query: str
) -> None:
    """We seal a request with fresh randomness, it opens it and answers, we open the answer."""
    key = server_key()
    target = "/v1/models" + ("?" + query if query else "")
    fields = ((b"authorization", b"Bearer sk-secret"),)
    client = strict.seal_request(key.recipient(), method="PATCH", target=target, fields=fields, now=NOW, shape=shape)
    message = b"".join(map(client.push, writes)) + client.finish()
    keys, issued_at, _, wanted, their_fields, body = second_strict.open_request(
        SEED, key.info("PATCH", target), message
    )
    assert (issued_at, wanted, tuple(their_fields), body) == (ISSUED_AT, shape, fields, b"".join(writes))

    head = (201).to_bytes(2, "big") + second_strict.write_fields([(b"x", b"y")])
    answer = second_strict.seal_response(keys, message[:1120], bytes(32), head, answers, shape)
    opened, content = open_response(client.response_opener(), answer)
    assert opened == strict.ResponseHead(status=201, fields=((b"x", b"y"),))
    assert content == b"".join(answers)


def test_the_second_implementation_opens_our_answer() -> None:
    chat = second_strict_vectors.CHAT
    opener, _ = open_request(chat.request, server_key(), chat.method, chat.target)
    sealer = opener.response_sealer()
    sealed = sealer.start(strict.ResponseHead(status=500, fields=())) + sealer.push(b"one") + sealer.finish(b"two")
    assert second_strict.open_response(chat.keys, chat.enc, sealed, 0) == (500, [], b"onetwo")


def test_a_response_cipher_derives_the_vectors_keys() -> None:
    chat = DOCUMENT["exchanges"][0]
    secret, enc, nonce = unhex(chat, "response_secret", "enc", "response_nonce")
    cipher = ResponseCipher(secret=secret, enc=enc, nonce=nonce)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key, base = unhex(chat, "response_key", "response_base_nonce")
    assert cipher.seal(b"x", b"aad") == AESGCM(key).encrypt(base, b"x", b"aad")
