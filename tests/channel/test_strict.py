"""The strict profile as its two sides see it: round trips, limits, and whoever is in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.channel import strict
from hermetic.channel.kem import XWingPrivateKey
from hermetic.channel.refusals import BodyTooLarge, OutsideWindow, Replayed, ReplayMemoryFull
from hermetic.channel.replay import NonceWindow
from hermetic.channel.strict import _frames
from hermetic.errors import ChannelBroken, Malformed
from hermetic.wire import sha256_digest

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PRIVATE = XWingPrivateKey(bytes(range(32)))
FIELDS: strict.Fields = ((b"authorization", b"Bearer sk-secret"), (b"content-type", b"application/json"))
TARGET = "/v1/chat/completions"


def server_key(window: NonceWindow | None = None) -> strict.ServerKey:
    return strict.ServerKey(
        private_key=PRIVATE,
        key_id="strict-1",
        keyset_digest=sha256_digest(b"keyset"),
        service="clinic",
        window=window or NonceWindow(),
    )


RECIPIENT = server_key().recipient()


def seal(body: bytes = b"", **other: Any) -> tuple[strict.RequestSealer, bytes]:
    arguments: dict[str, Any] = {"method": "POST", "target": TARGET, "fields": FIELDS, "now": NOW} | other
    client = strict.seal_request(RECIPIENT, **arguments)
    return client, client.push(body) + client.finish()


def opener(
    key: strict.ServerKey | None = None, *, now: datetime = NOW, max_body: int = 1 << 20
) -> strict.RequestOpener:
    return strict.RequestOpener(key or server_key(), method="POST", target=TARGET, now=now, max_body=max_body)


def open_request(message: bytes) -> bytes:
    server = opener()
    body = b"".join(server.push(message))
    server.finish()
    return body


def exchange(*, shape: int = 0) -> tuple[strict.RequestSealer, strict.ResponseSealer]:
    """A client that waits and a server that is about to answer."""
    client, message = seal(b"{}", shape=shape)
    server = opener()
    assert b"".join(server.push(message)) == b"{}"
    server.finish()
    return client, server.response_sealer()


def open_response(client: strict.RequestSealer, message: bytes) -> tuple[strict.ResponseHead | None, bytes]:
    response = client.response_opener()
    body = b"".join(response.push(message))
    response.finish()
    return response.head, body


HEAD = strict.ResponseHead(status=200, fields=((b"content-type", b"text/event-stream"),))


# Round trips


@given(
    writes=st.lists(st.binary(max_size=3000), max_size=5),
    shape=st.sampled_from([0, 9, 11, 16]),
    cuts=st.lists(st.integers(min_value=1, max_value=997), min_size=1, max_size=6),
)
def test_bodies_survive_any_writes_and_any_cuts(writes: list[bytes], shape: int, cuts: list[int]) -> None:
    body = b"".join(writes)
    client = strict.seal_request(RECIPIENT, method="POST", target=TARGET, fields=FIELDS, now=NOW, shape=shape)
    message = b"".join(map(client.push, writes)) + client.finish()
    server = opener()
    assert b"".join(part for piece in cut(message, cuts) for part in server.push(piece)) == body
    server.finish()
    assert server.head.fields == FIELDS

    sealer = server.response_sealer()
    sealed = sealer.start(HEAD) + b"".join(map(sealer.push, writes)) + sealer.finish()
    response = client.response_opener()
    assert b"".join(part for piece in cut(sealed, cuts) for part in response.push(piece)) == body
    response.finish()
    assert response.head == HEAD


def cut(data: bytes, lengths: list[int]) -> list[bytes]:
    pieces, start, index = [], 0, 0
    while start < len(data):
        pieces.append(data[start : start + lengths[index % len(lengths)]])
        start += lengths[index % len(lengths)]
        index += 1
    return pieces


def test_a_large_body_is_sealed_in_full_frames() -> None:
    body = bytes(range(256)) * 4096
    client, message = seal(body)
    frames, rest = divmod(len(body), 65_532)
    assert 0 < rest <= 508
    assert len(message) == 1120 + (5 + 512 + 16) + frames * (5 + 65_536 + 16) + (5 + 512 + 16)
    assert open_request(message) == body
    assert client.outer_fields == (
        ("Content-Type", "application/hermetic-sealed"),
        ("Hermetic-Key-Id", "strict-1"),
        ("Hermetic-Method", "POST"),
    )


def test_an_exchange_without_bodies_is_sealed_too() -> None:
    client, message = seal(method="GET", target="/v1/receipts/1?full=1")
    server = strict.RequestOpener(server_key(), method="GET", target="/v1/receipts/1?full=1", now=NOW, max_body=0)
    assert server.push(message) == []
    server.finish()
    assert len(message) == 1120 + 5 + 512 + 16
    assert b"sk-secret" not in message
    sealer = server.response_sealer()
    head = strict.ResponseHead(status=404, fields=())
    assert open_response(client, sealer.start(head) + sealer.finish()) == (head, b"")


def test_streamed_writes_arrive_one_by_one() -> None:
    client, sealer = exchange()
    response = client.response_opener()
    assert response.push(sealer.start(HEAD)) == []
    assert response.head == HEAD
    for write in (b"data: one\n\n", b"data: two\n\n"):
        assert response.push(sealer.push(write)) == [write]
    assert not response.ended
    assert response.push(sealer.finish()) == []
    assert response.ended
    response.finish()


def test_tokens_of_any_usual_length_look_alike() -> None:
    _, sealer = exchange()
    assert {len(sealer.push(bytes(length))) for length in range(1, 509)} == {5 + 512 + 16}


def test_fixed_frames_are_held_back_until_full() -> None:
    client, sealer = exchange(shape=10)
    response = client.response_opener()
    response.push(sealer.start(HEAD))
    room = 1024 - 4
    assert sealer.push(bytes(room - 1)) == b""
    full = sealer.push(b"\x01\x02")
    assert response.push(full) == [bytes(room - 1) + b"\x01"]
    last = sealer.finish()
    assert len(full) == len(last) == 5 + 1024 + 16
    assert response.push(last) == [b"\x02"]
    response.finish()


# Who is in between


def test_no_bit_of_a_request_can_be_flipped() -> None:
    _, message = seal(b"hello")
    assert open_request(message) == b"hello"
    for bit in range(8 * len(message)):
        forged = bytearray(message)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((ChannelBroken, Malformed)):
            open_request(bytes(forged))


def test_no_bit_of_a_response_can_be_flipped() -> None:
    client, sealer = exchange()
    message = sealer.start(HEAD) + sealer.finish(b"hello")
    assert open_response(client, message) == (HEAD, b"hello")
    for bit in range(8 * len(message)):
        forged = bytearray(message)
        forged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChannelBroken):
            open_response(client, bytes(forged))


def test_a_request_cut_anywhere_is_refused() -> None:
    _, message = seal(b"hello")
    for length in range(len(message)):
        with pytest.raises(ChannelBroken):
            open_request(message[:length])


def test_a_response_cut_anywhere_is_refused() -> None:
    client, sealer = exchange()
    message = sealer.start(HEAD) + sealer.push(b"Do ") + sealer.finish(b"NOT send it.")
    for length in range(len(message)):
        with pytest.raises(ChannelBroken):
            open_response(client, message[:length])


def test_a_response_belongs_to_its_own_request() -> None:
    client, _ = exchange()
    _, other = exchange()
    with pytest.raises(ChannelBroken):
        open_response(client, other.start(HEAD) + other.finish())


def test_a_replay_is_refused_whatever_the_order_and_the_clock() -> None:
    _, message = seal(b"{}")
    key = server_key()
    opener(key).push(message)
    for minutes in (0, 4, -4):
        with pytest.raises(Replayed):
            opener(key, now=NOW + timedelta(minutes=minutes)).push(message)
    with pytest.raises(OutsideWindow):
        opener(key, now=NOW + timedelta(minutes=6)).push(message)
    with pytest.raises(OutsideWindow):
        opener(key, now=NOW).push(message)


def test_a_request_broken_off_after_its_first_frame_is_used_up() -> None:
    _, message = seal(b"{}")
    key = server_key()
    opener(key).push(message[: 1120 + 5 + 512 + 16])
    with pytest.raises(Replayed):
        opener(key).push(message)

    _, message = seal(b"{}")
    with pytest.raises(ChannelBroken):
        opener(key).push(message[:-1] + bytes([message[-1] ^ 1]))  # the same, all in one piece
    with pytest.raises(Replayed):
        opener(key).push(message)


def test_a_forged_request_uses_nothing_up() -> None:
    _, message = seal(b"{}")
    key = server_key()
    forged = message[:1200] + bytes([message[1200] ^ 1]) + message[1201:]
    with pytest.raises(ChannelBroken):
        opener(key).push(forged)
    assert opener(key).push(message) == [b"{}"]


def test_refusals_after_the_first_frame_can_be_answered_inside() -> None:
    key = server_key(NonceWindow(capacity=0))
    client, message = seal(b"{}")
    server = opener(key)
    with pytest.raises(ReplayMemoryFull):
        server.push(message)
    sealer = server.response_sealer()
    head = strict.ResponseHead(status=503, fields=())
    assert open_response(client, sealer.start(head) + sealer.finish()) == (head, b"")


def test_nobody_is_answered_before_the_first_frame_has_opened() -> None:
    _, message = seal(b"{}")
    server = opener()
    server.push(message[:1120])
    with pytest.raises(ChannelBroken, match="no context"):
        server.response_sealer()
    with pytest.raises(ChannelBroken, match="has not arrived"):
        _ = server.head
    forged = opener()
    with pytest.raises(ChannelBroken):
        forged.push(message[:1130] + bytes(600))
    with pytest.raises(ChannelBroken, match="no context"):
        forged.response_sealer()


# Limits


def test_a_body_above_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    _, message = seal(bytes(1000))
    assert b"".join(opener(max_body=1000).push(message)) == bytes(1000)
    server = opener(max_body=999)
    with pytest.raises(BodyTooLarge):
        server.push(message)
    assert server.response_sealer()


def test_frames_without_content_do_not_go_on_for_ever() -> None:
    client = strict.seal_request(RECIPIENT, method="POST", target=TARGET, fields=(), now=NOW)
    opening = client._opening(last=False)
    server = opener(max_body=1000)
    server.push(opening)
    empty = [client._frames.frame(b"") for _ in range(300)]
    allowed = (2 * 1000 + 128 * 1024 - len(opening)) // len(empty[0])
    assert server.push(b"".join(empty[:allowed])) == [b""] * allowed
    with pytest.raises(BodyTooLarge):
        server.push(empty[allowed])


def test_an_over_long_frame_is_refused_from_its_prefix() -> None:
    client, message = seal(b"{}")
    with pytest.raises(ChannelBroken, match="announces"):
        opener().push(message[:1120] + (65_554).to_bytes(4, "big"))
    with pytest.raises(ChannelBroken, match="announces"):
        client.response_opener().push(bytes(32) + (65_554).to_bytes(4, "big"))


def test_nothing_is_sealed_after_the_end() -> None:
    _, sealer = exchange()
    sealer.start(HEAD)
    sealer.finish()
    with pytest.raises(ChannelBroken, match="after the last"):
        sealer.push(b"more")
    with pytest.raises(ChannelBroken, match="after the last"):
        sealer.finish()


@pytest.mark.parametrize(
    ("length", "bucket"), [(65_533, None), (509, 512), (1020, 512), (1, 600), (1, 256), (65_533, 131_072)]
)
def test_a_frame_is_a_bucket_and_its_content_fits(length: int, bucket: int | None) -> None:
    _, sealer = exchange()
    with pytest.raises(ChannelBroken, match="do not fit"):
        sealer._frames.frame(bytes(length), bucket=bucket)


def test_a_stream_refuses_to_repeat_a_frame_number() -> None:
    client, sealer = exchange()
    sealer._frames._sequence = _frames._SEQUENCES
    with pytest.raises(ChannelBroken, match="frame limit"):
        sealer.start(HEAD)
    assert repr(client.response_opener()) == "ResponseOpener(<redacted>)"


# What cannot be sealed


@pytest.mark.parametrize("method", ["", "post", "CONNECT", "TRACE", "A" * 17, "GET ", "GET\n"])
def test_other_methods_are_refused(method: str) -> None:
    with pytest.raises(Malformed, match="method"):
        RECIPIENT.info(method, "/")


@pytest.mark.parametrize("target", ["", "v1", "*", "http://host/", "/a b", "/\n", "/é", "/" + "a" * 8192])
def test_other_targets_are_refused(target: str) -> None:
    with pytest.raises(Malformed, match="target"):
        RECIPIENT.info("GET", target)


@pytest.mark.parametrize("key_id", ["", "a b", "é", "k" * 129, "k\n"])
def test_other_key_ids_are_refused(key_id: str) -> None:
    recipient = strict.Recipient(
        public_key=PRIVATE.public_key(), key_id=key_id, keyset_digest=sha256_digest(b""), service=""
    )
    with pytest.raises(Malformed, match="key id"):
        recipient.info("GET", "/")


@pytest.mark.parametrize(
    "field",
    [
        (b"Authorization", b"x"),
        (b"host", b"x"),
        (b"content-length", b"1"),
        (b"hermetic-method", b"GET"),
        (b"ehbp-encapsulated-key", b"00"),
        (b"", b"x"),
        (b"a b", b"x"),
        (b"x", b"a\nb"),
        (b"x", b" a"),
    ],
)
def test_other_fields_are_refused_before_they_are_sealed(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(Malformed, match="header field"):
        seal(fields=(field,))
    with pytest.raises(Malformed, match="header field"):
        strict.ResponseHead(status=200, fields=(field,)).encode()


def test_other_heads_are_refused_before_they_are_sealed() -> None:
    with pytest.raises(Malformed, match="fit"):
        seal(fields=((b"x", bytes(b"a" * 60_000)), (b"y", bytes(b"a" * 6_000))))
    with pytest.raises(Malformed, match="header field"):
        seal(fields=((b"x", bytes(b"a" * 70_000)),))
    for issued_at, nonce in ((-1, bytes(16)), (2**64, bytes(16)), (0, bytes(15)), (0, bytes(17))):
        with pytest.raises(Malformed, match="nonce"):
            strict.RequestHead(issued_at=issued_at, nonce=nonce, shape=0, fields=()).encode()
    for shape in (1, 8, 17, 255):
        with pytest.raises(Malformed, match="shape"):
            seal(shape=shape)
    for status in (100, 199, 600):
        with pytest.raises(Malformed, match="status"):
            strict.ResponseHead(status=status, fields=()).encode()


@given(st.lists(st.tuples(st.from_regex(rb"[A-Za-z-]{1,12}", fullmatch=True), st.binary(max_size=8)), max_size=6))
def test_sealable_fields_can_be_sealed_unless_a_value_is_malformed(fields: list[tuple[bytes, bytes]]) -> None:
    chosen = strict.sealable([*fields, (b"Host", b"h"), (b"Connection", b"close"), (b"X-Kept", b" padded\t")])
    assert chosen[-1] == (b"x-kept", b"padded")
    head = strict.ResponseHead(status=200, fields=chosen)
    if any(set(value) & {0, 10, 13} for _, value in chosen):
        with pytest.raises(Malformed):
            head.encode()
    else:
        assert strict.ResponseHead.decode(head.encode()) == head


@given(st.binary(max_size=200))
def test_no_bytes_make_a_head_fail_otherwise(data: bytes) -> None:
    for decode in (strict.RequestHead.decode, strict.ResponseHead.decode):
        try:
            head = decode(data)
        except ChannelBroken:
            continue
        assert head.encode() == data


def test_a_head_cut_anywhere_is_refused_where_it_ends() -> None:
    head = strict.RequestHead(issued_at=1, nonce=bytes(16), shape=0, fields=FIELDS).encode()
    for length in range(len(head)):
        with pytest.raises(ChannelBroken, match="too early"):
            strict.RequestHead.decode(head[:length])


def test_values_show_no_secret() -> None:
    _, message = seal(b"{}")
    server = opener()
    server.push(message)
    for value in (server, server.head, server_key(), HEAD):
        assert "secret" not in repr(value)
        assert "event-stream" not in repr(value)
    assert "XWingPrivateKey(<redacted>)" in repr(server_key())
