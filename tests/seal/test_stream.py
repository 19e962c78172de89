"""The payload: each chunk in its place, an end that proves itself; by the stream and at random alike."""

from __future__ import annotations

import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from hermetic.errors import NotAuthentic
from hermetic.seal import Identity
from hermetic.seal.age import PayloadOpener, PayloadSealer, sealed_size
from hermetic.seal.age.stream import chunk_nonce
from seal_support import (
    CHUNK,
    CLASSIC,
    HYBRID,
    IDENTITIES,
    TAG,
    flipped,
    opened,
    reader,
    refused_both_ways,
    sealed,
    sealed_chunks,
    split,
)

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7, 3 * CHUNK]
KEY = bytes(range(32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_round_trip_at_every_boundary(identity: Identity, size: int) -> None:
    data = os.urandom(size)
    file = sealed(data, identity.recipient())
    header, _, rest = split(file, identity)
    assert len(rest) == 16 + sealed_size(size)
    assert opened(file, identity) == data
    assert reader(file, identity).read() == data
    assert header + rest == file


@given(pieces=st.lists(st.integers(min_value=0, max_value=150_000), max_size=6), step=st.integers(1, 200_000))
@settings(max_examples=40)
def test_pieces_of_any_size_give_the_same_stream(pieces: list[int], step: int) -> None:
    parts = [bytes([number + 1]) * size for number, size in enumerate(pieces)]
    sealer, opener = PayloadSealer(KEY), PayloadOpener(KEY)
    stream = b"".join(map(sealer.push, parts)) + sealer.finish()
    whole = PayloadSealer(KEY)
    assert stream == whole.push(b"".join(parts)) + whole.finish()
    plain = b"".join(opener.push(stream[at : at + step]) for at in range(0, len(stream), step)) + opener.finish()
    assert plain == b"".join(parts)


def test_the_nonce_counts_and_marks_the_end() -> None:
    """C2SP age, "Payload": 11 bytes of counter, big-endian, then 0x01 for the final chunk only."""
    assert chunk_nonce(0, final=False) == bytes(12)
    assert chunk_nonce(0, final=True) == bytes(11) + b"\x01"
    assert chunk_nonce(0x0102, final=False) == bytes(9) + b"\x01\x02\x00"


def test_every_bit_of_a_small_file_is_protected() -> None:
    file = sealed(b"weights", CLASSIC.recipient())
    header, _, rest = split(file, CLASSIC)
    for bit in range(len(header) * 8, (len(header) + len(rest)) * 8):
        refused_both_ways(flipped(file, bit), CLASSIC)


@given(bit=st.integers(min_value=0))
@settings(max_examples=60)
def test_any_bit_of_a_large_file_is_protected(bit: int) -> None:
    bit %= len(LARGE) * 8
    refused_both_ways(flipped(LARGE, bit))


LARGE = sealed(os.urandom(3 * CHUNK + 100), HYBRID.recipient())
START, CHUNKS = sealed_chunks(LARGE)


@pytest.mark.parametrize("kept", range(len(CHUNKS)))
def test_a_file_cut_at_a_chunk_is_refused(kept: int) -> None:
    refused_both_ways(START + b"".join(CHUNKS[:kept]))


@pytest.mark.parametrize("cut", [1, 15, 16, 17, 99, 100, 101, 115, 116, 117, CHUNK, 3 * CHUNK + 100])
def test_a_file_cut_elsewhere_is_refused(cut: int) -> None:
    refused_both_ways(LARGE[:-cut])


@pytest.mark.parametrize("size", [0, 5, CHUNK, 2 * CHUNK])
def test_every_cut_near_the_start_is_refused(size: int) -> None:
    file = sealed(bytes(size), CLASSIC.recipient())
    header, _, _ = split(file, CLASSIC)
    for length in range(len(header), len(header) + 32 + min(size, 5)):
        refused_both_ways(file[:length], CLASSIC)


@pytest.mark.parametrize("size", [0, 5, CHUNK - 1, CHUNK, CHUNK + 1])
@pytest.mark.parametrize("more", [b"\0", b"x" * 15, b"x" * 16, b"x" * 17, bytes(CHUNK + TAG)])
def test_anything_after_the_end_is_refused(size: int, more: bytes) -> None:
    refused_both_ways(sealed(bytes(size), CLASSIC.recipient()) + more, CLASSIC)


@pytest.mark.parametrize(
    "order", [(1, 0, 2, 3), (0, 2, 1, 3), (0, 0, 1, 2, 3), (0, 1, 1, 3), (0, 1, 3), (3,), (1, 2, 3), (0, 1, 2, 3, 3)]
)
def test_chunks_cannot_be_reordered_repeated_or_dropped(order: tuple[int, ...]) -> None:
    refused_both_ways(START + b"".join(CHUNKS[index] for index in order))


def test_chunks_of_another_file_do_not_fit() -> None:
    other_start, others = sealed_chunks(sealed(bytes(3 * CHUNK + 100)))
    for index in range(len(CHUNKS)):
        refused_both_ways(START + b"".join([*CHUNKS[:index], others[index], *CHUNKS[index + 1 :]]))
    refused_both_ways(START[:-16] + b"".join([other_start[-16:], *others]))


def forged(*chunks: tuple[bytes, bool]) -> bytes:
    """A file sealed with the right key, whose chunks are as given: plaintext, and whether it is marked final."""
    file = sealed(b"", CLASSIC.recipient())
    header, key, rest = split(file, CLASSIC)
    cipher = ChaCha20Poly1305(key.payload_key(rest[:16]))
    listed = [cipher.encrypt(chunk_nonce(i, final=final), data, None) for i, (data, final) in enumerate(chunks)]
    return header + rest[:16] + b"".join(listed)


FULL = bytes(CHUNK)


def test_a_forged_file_that_keeps_the_rules_opens() -> None:
    assert opened(forged((FULL, False), (b"x", True)), CLASSIC) == FULL + b"x"


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([(FULL, False), (b"", True)], id="empty final chunk after a full one"),
        pytest.param([(FULL, False), (FULL, False), (b"", True)], id="empty final chunk after two"),
        pytest.param([(b"", False)], id="empty, not final"),
        pytest.param([(b"x", False)], id="short, not final"),
        pytest.param([(FULL, False)], id="full, not final"),
        pytest.param([(FULL, False), (FULL, False)], id="two full, none final"),
        pytest.param([(FULL, True), (b"x", True)], id="two final chunks"),
        pytest.param([(FULL, True), (FULL, True)], id="two full final chunks"),
        pytest.param([(FULL, False), (b"x", False)], id="last one not final"),
        pytest.param([(b"x", False), (FULL, True)], id="short chunk first"),
        pytest.param([(b"x", True), (b"x", True)], id="two short final chunks"),
        pytest.param([(FULL + b"x", True)], id="oversized chunk"),
        pytest.param([], id="no chunk at all"),
    ],
)
def test_whoever_has_the_key_still_has_one_spelling(chunks: list[tuple[bytes, bool]]) -> None:
    refused_both_ways(forged(*chunks), CLASSIC)


def chunks_under_key(count: int) -> list[bytes]:
    """The first ``count`` chunks, none of them final, of a payload of full chunks under KEY."""
    cipher = ChaCha20Poly1305(KEY)
    return [cipher.encrypt(chunk_nonce(index, final=False), bytes(CHUNK), None) for index in range(count)]


def test_an_opener_that_refused_stays_refused() -> None:
    (first,) = chunks_under_key(1)
    opener = PayloadOpener(KEY)
    assert opener.push(flipped(first, 9)) == b"", "it might be the last one, so it is held back"
    with pytest.raises(NotAuthentic):
        opener.finish()
    with pytest.raises(NotAuthentic):
        opener.push(first + b"x")
    with pytest.raises(NotAuthentic):
        opener.finish()


def test_an_opener_that_finished_takes_no_more() -> None:
    _, second = chunks_under_key(2)
    opener = PayloadOpener(KEY)
    assert opener.push(PayloadSealer(KEY).finish()) + opener.finish() == b""
    with pytest.raises(NotAuthentic):
        opener.push(second + b"x")


def test_a_stream_without_finish_says_nothing_of_its_end() -> None:
    """The chunk that might be the last is held back, so a reader that forgets ``finish`` lacks it."""
    sealer, opener = PayloadSealer(KEY), PayloadOpener(KEY)
    stream = sealer.push(bytes(CHUNK)) + sealer.finish()
    assert opener.push(stream) == b""
    assert opener.finish() == bytes(CHUNK)


def test_nothing_unauthenticated_leaves_the_stream() -> None:
    _, key, rest = split(LARGE)
    opener = PayloadOpener(key.payload_key(rest[:16]))
    first = opener.push(CHUNKS[0] + b"x")
    assert first == reader(LARGE).read(0, CHUNK)
    with pytest.raises(NotAuthentic):
        opener.push(flipped(CHUNKS[1], 9))
