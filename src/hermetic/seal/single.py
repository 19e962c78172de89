"""One file to one age file and back, by all cores; the result appears whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hermetic.seal.age import SPAN, BlockFile, Header, Recipient, open_payload, seal_file
from hermetic.seal.bundle import header_of, regular_file
from hermetic.seal.hooks import Progress, Unwrap
from hermetic.seal.place import new_file


def seal_path(
    source: Path,
    destination: Path,
    recipients: Sequence[Recipient],
    *,
    replace: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Header:
    """Seals the regular file ``source`` into a new age file.  Raises Misconfigured."""

    def on_span(_: int, data: memoryview) -> None:
        if progress is not None:
            progress(len(data))

    with regular_file(source) as source_fd, new_file(destination, replace=replace, mode=0o644) as sink_fd:
        return seal_file(BlockFile(source_fd), BlockFile(sink_fd), recipients, threads=threads, on_span=on_span)


def open_path(
    source: Path,
    destination: Path,
    unwrap: Unwrap,
    *,
    replace: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Header:
    """Opens the age file ``source`` into a new file that only its owner can read.

    Raises Malformed, NotAuthentic, what ``unwrap`` raises, and Misconfigured.
    """
    with regular_file(source) as source_fd:
        header = header_of(source_fd)
        reader = open_payload(unwrap(header), header, BlockFile(source_fd))
        with new_file(destination, replace=replace) as sink_fd:
            sink = BlockFile(sink_fd)

            def on_span(number: int, data: memoryview) -> None:
                sink.write(number * SPAN, data)
                if progress is not None:
                    progress(len(data))

            reader.each_span(on_span, threads=threads)
    return header
