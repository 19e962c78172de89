"""Ranges and threads: the same bytes as the stream, and nothing left behind after a refusal."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic, Unavailable
from hermetic.seal import FileKey, open_payload, parse_header, regular_file, unwrap
from hermetic.seal.age import SPAN, BlockFile, MemorySource, seal_file
from hermetic.seal.age.parallel import Task, for_each
from seal_support import CHUNK, CLASSIC, HYBRID, TAG, flipped, opened, reader, sealed, sealed_chunks, split

DATA = os.urandom(2 * SPAN + 3 * CHUNK + 17)
FILE = sealed(DATA, HYBRID.recipient())

offsets = st.one_of(
    st.integers(0, len(DATA)),
    st.sampled_from([0, CHUNK - 1, CHUNK, SPAN - 1, SPAN, SPAN + 1, 2 * SPAN, len(DATA) - 1, len(DATA)]),
)


@given(offset=offsets, length=offsets, threads=st.integers(1, 3))
@settings(max_examples=60)
def test_any_range_is_what_the_stream_gives(offset: int, length: int, threads: int) -> None:
    assert reader(FILE).read(offset, length, threads=threads) == DATA[offset : offset + length]


def test_the_size_is_known_without_reading_everything() -> None:
    assert reader(FILE).size == len(DATA)


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_everything_at_once_into_the_caller_s_memory(threads: int | None) -> None:
    memory = bytearray(len(DATA))
    seen: dict[int, bytes] = {}
    reader(FILE).read_into(memory, threads=threads, on_span=lambda number, data: seen.update({number: bytes(data)}))
    assert memory == DATA
    assert b"".join(seen[number] for number in sorted(seen)) == DATA
    assert sorted(seen) == [0, 1, 2]


def test_span_by_span_without_memory_for_all() -> None:
    seen: dict[int, bytes] = {}
    reader(FILE).each_span(lambda number, data: seen.update({number: bytes(data)}), threads=2)
    assert b"".join(seen[number] for number in sorted(seen)) == DATA


def test_an_empty_payload_has_no_span() -> None:
    empty = reader(sealed(b""))
    empty.each_span(lambda *_: pytest.fail("there is none"))
    empty.read_into(bytearray(0))
    assert empty.read() == b""
    assert empty.size == 0


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, len(DATA) + 1), (len(DATA), 1), (len(DATA) + 1, 0)])
def test_a_range_that_is_not_there_is_an_error(offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        reader(FILE).read_into(bytearray(length), offset=offset)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("index", [0, 16, 20, 34])
def test_after_a_refusal_the_memory_holds_nothing(index: int, threads: int) -> None:
    start, chunks = sealed_chunks(FILE)
    chunks[index] = flipped(chunks[index], 77)
    memory = bytearray(b"?" * len(DATA))
    broken = reader(start + b"".join(chunks))
    with pytest.raises(NotAuthentic):
        broken.read_into(memory, threads=threads)
    assert not any(memory)


def test_a_range_beside_a_broken_chunk_still_opens() -> None:
    start, chunks = sealed_chunks(FILE)
    chunks[3] = flipped(chunks[3], 0)
    assert reader(start + b"".join(chunks)).read(4 * CHUNK, CHUNK) == DATA[4 * CHUNK : 5 * CHUNK]


def test_the_end_is_checked_before_any_range_is_read() -> None:
    """C2SP age, "Payload": a position that is relative to the end needs a valid final chunk first."""
    start, chunks = sealed_chunks(FILE)
    for tail in ([flipped(chunks[-1], 5)], [chunks[-1][:-1]], []):
        with pytest.raises(NotAuthentic):
            reader(start + b"".join(chunks[:-1] + tail))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fault_in_the_caller_s_code_ends_all_and_wipes(threads: int) -> None:
    memory = bytearray(b"?" * len(DATA))

    def fault(number: int, _: memoryview) -> None:
        if number == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reader(FILE).read_into(memory, threads=threads, on_span=fault)
    assert not any(memory)


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, SPAN, SPAN + 1, 2 * SPAN + 5])
@pytest.mark.parametrize("threads", [1, 3])
def test_sealing_by_threads_gives_the_stream_s_format(tmp_path: Path, size: int, threads: int) -> None:
    data = os.urandom(size)
    plain, file = tmp_path / "plain", tmp_path / "file"
    plain.write_bytes(data)
    seen: dict[int, bytes] = {}
    with plain.open("rb") as source, file.open("w+b") as sink:
        header = seal_file(
            BlockFile(source.fileno()),
            BlockFile(sink.fileno()),
            [CLASSIC.recipient()],
            threads=threads,
            on_span=lambda number, span: seen.update({number: bytes(span)}),
        )
    assert opened(file.read_bytes(), CLASSIC) == data
    assert file.read_bytes().startswith(header.raw)
    assert b"".join(seen[number] for number in sorted(seen)) == data
    with regular_file(file) as fd:
        assert open_payload(unwrap(header, CLASSIC), header, BlockFile(fd)).read(threads=threads) == data


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(FILE)
    with file.open("r+b") as stream:
        header, key, _ = split(FILE)
        payload = open_payload(key, parse_header(header), BlockFile(stream.fileno()))
        stream.truncate(len(FILE) // 2)
        with pytest.raises(Unavailable, match="shorter"):
            payload.read()


def test_a_header_of_another_file_is_refused() -> None:
    """The key and MAC fit, yet the file in hand begins with something else."""
    header, key, rest = split(FILE)
    other = sealed(DATA[:10])[: len(header)]
    for data in (other + rest, b"x" + header + rest, rest):
        with pytest.raises(NotAuthentic):
            open_payload(key, parse_header(header), MemorySource(data))


@pytest.mark.parametrize("more", [0, 1, 15])
def test_a_file_that_ends_within_its_nonce_was_cut(tmp_path: Path, more: int) -> None:
    header, key, _ = split(FILE)
    (tmp_path / "file").write_bytes(FILE[: len(header) + more])
    with regular_file(tmp_path / "file") as fd, pytest.raises(NotAuthentic):
        open_payload(key, parse_header(header), BlockFile(fd))


@pytest.mark.parametrize("length", [0, 15, 17, 32])
def test_a_nonce_has_sixteen_bytes(length: int) -> None:
    with pytest.raises(Malformed, match="nonce"):
        FileKey.generate().payload_key(bytes(length))


def test_a_wrong_file_key_opens_nothing() -> None:
    header, key, _ = split(FILE)
    assert open_payload(key, parse_header(header), MemorySource(FILE)).read(0, 5) == DATA[:5]
    with pytest.raises(NotAuthentic):
        open_payload(FileKey.generate(), parse_header(header), MemorySource(FILE))


@given(size=st.integers(0, 5 * CHUNK))
def test_sealed_sizes_are_told_apart(size: int) -> None:
    """A sealed length belongs to one plaintext length at most: chunks and tags cannot trade places."""
    from hermetic.seal.age import sealed_size

    assert sealed_size(size) == size + TAG * max(1, -(-size // CHUNK))
    assert sealed_size(size) < sealed_size(size + 1)


class Seen:
    """Which numbers came, over how many tasks."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.tasks = 0

    def new_task(self) -> Task:
        self.tasks += 1
        return self.numbers.append


def test_pieces_go_round_once_each() -> None:
    for threads in (1, 2, 8, None):
        seen = Seen()
        for_each(100, seen.new_task, threads=threads)
        assert sorted(seen.numbers) == list(range(100))
        assert seen.tasks <= (threads or 100)
    nothing = Seen()
    for_each(0, nothing.new_task, threads=2)
    assert nothing.tasks == 0


def test_the_first_failure_stops_the_others() -> None:
    done: list[int] = []
    failed = threading.Event()

    def new_task() -> Task:
        def task(number: int) -> None:
            if number == 0:
                failed.set()
                raise ValueError("piece 0")
            failed.wait()
            done.append(number)

        return task

    with pytest.raises(ValueError, match="piece 0"):
        for_each(10_000, new_task, threads=2)
    assert len(done) < 10_000
