"""Whole age files: between streams, and between open regular files by several threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from hermetic.seal.age.blocks import BlockFile, Source
from hermetic.seal.age.filekey import NONCE_BYTES, FileKey
from hermetic.seal.age.header import Header, read_header
from hermetic.seal.age.keys import Identity, Recipient
from hermetic.seal.age.payload import OnSpan, PayloadReader, PayloadWriter
from hermetic.seal.age.stream import PayloadOpener, PayloadSealer, broken_payload
from hermetic.seal.age.wrap import make_header, unwrap, verify_mac

_READ = 1024 * 1024


def seal_stream(source: BinaryIO, sink: BinaryIO, recipients: Sequence[Recipient]) -> Header:
    """Seals ``source`` to its end.  The sink holds a whole file only once this has returned."""
    file_key = FileKey.generate()
    header = make_header(file_key, recipients)
    nonce = os.urandom(NONCE_BYTES)
    sink.write(header.raw + nonce)
    sealer = PayloadSealer(file_key.payload_key(nonce))
    while data := source.read(_READ):
        sink.write(sealer.push(data))
    sink.write(sealer.finish())
    return header


def open_stream(source: BinaryIO, sink: BinaryIO, *identities: Identity) -> Header:
    """Opens ``source`` to its end.  What the sink holds is authentic; that it is all, only once this has returned.

    Raises Malformed or NotAuthentic.
    """
    header, _ = read_header(source)
    file_key = unwrap(header, *identities)
    opener = PayloadOpener(file_key.payload_key(source.read(NONCE_BYTES)))
    while data := source.read(_READ):
        sink.write(opener.push(data))
    sink.write(opener.finish())
    return header


def seal_file(
    source: Source,
    sink: BlockFile,
    recipients: Sequence[Recipient],
    *,
    file_key: FileKey | None = None,
    threads: int | None = None,
    on_span: OnSpan | None = None,
) -> Header:
    """Seals ``source`` into an empty ``sink`` by several threads.  ``file_key``, if given, must be fresh."""
    file_key = file_key or FileKey.generate()
    header = make_header(file_key, recipients)
    nonce = os.urandom(NONCE_BYTES)
    start = header.raw + nonce
    sink.write(0, memoryview(start))
    writer = PayloadWriter(file_key.payload_key(nonce), sink, start=len(start), size=source.size)
    writer.write_from(source, threads=threads, on_span=on_span)
    return header


def open_payload(file_key: FileKey, header: Header, source: Source) -> PayloadReader:
    """The contents of ``source``, an age file that begins with ``header``, readable at random.

    Checks the header's MAC, that the file begins with this header, and the final chunk.  Raises NotAuthentic.
    """
    verify_mac(header, file_key)
    start = len(header.raw)
    if source.size < start + NONCE_BYTES:
        raise broken_payload()
    scratch = memoryview(bytearray(start + NONCE_BYTES))
    beginning = bytes(source.view(0, start + NONCE_BYTES, scratch))
    if beginning[:start] != header.raw:
        raise broken_payload()
    return PayloadReader(file_key.payload_key(beginning[start:]), source, start=start + NONCE_BYTES)
