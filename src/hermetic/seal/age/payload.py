"""The payload at random: any range, and all of it at once by several threads straight into the caller's memory."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from hermetic.seal.age.blocks import BlockFile, Source
from hermetic.seal.age.parallel import Task, for_each
from hermetic.seal.age.stream import CHUNK, SEALED_CHUNK, TAG, broken_payload, chunk_nonce

SPAN_CHUNKS = 16
SPAN = SPAN_CHUNKS * CHUNK
"""1 MiB of plaintext: what a thread takes at a time.  Large enough that reading a file costs one call a span, small
enough that ciphertext stays in the cache between reading and opening it."""

OnSpan = Callable[[int, memoryview], None]
"""Called with a span's number and its plaintext, in a worker thread, once the span is authentic.  It may not keep the
memory beyond the call."""


def sealed_size(size: int) -> int:
    """The length of the chunks that hold ``size`` bytes of plaintext."""
    return size + TAG * _chunks(size)


class PayloadReader:
    """The plaintext of one payload.  Making it opens the final chunk, so ``size`` is authentic (C2SP age, "Payload").

    ``key`` is the 32-byte payload key; the chunks lie in ``source`` from offset ``start`` to its end.
    Raises NotAuthentic.
    """

    def __init__(self, key: bytes, source: Source, *, start: int) -> None:
        self._key = key
        self._source = source
        self._start = start
        sealed = source.size - start
        self._count = max(1, -(-sealed // SEALED_CHUNK))
        self.size = sealed - TAG * self._count
        # The last chunk may be empty only if it is the only one; a length that leaves less than a tag is a cut, which
        # this or the final chunk's tag refuses.
        if _chunks(self.size) != self._count:
            raise broken_payload()
        self._opener().check_final()

    def read(self, offset: int = 0, length: int | None = None, *, threads: int | None = None) -> bytes:
        """Up to ``length`` bytes from ``offset``, fewer at the end.  Raises NotAuthentic."""
        stop = self.size if length is None else min(self.size, offset + length)
        buffer = bytearray(max(0, stop - offset))
        self.read_into(buffer, offset=offset, threads=threads)
        return bytes(buffer)

    def read_into(
        self,
        buffer: bytearray | memoryview,
        *,
        offset: int = 0,
        threads: int | None = None,
        on_span: OnSpan | None = None,
    ) -> None:
        """Fills ``buffer``, which may be a mapping, from ``offset``.  ``on_span`` sees the buffer's share of each span.

        On any failure the whole buffer is zeroed, because decryption writes before it knows.  Raises NotAuthentic, and
        ValueError for a range that the payload does not have.
        """
        target = memoryview(buffer).cast("B")
        if offset < 0 or offset + len(target) > self.size:
            raise ValueError("the range lies outside the payload")
        first, last = offset // SPAN, -(-(offset + len(target)) // SPAN)

        def new_task() -> Task:
            opener = self._opener()

            def open_span(number: int) -> None:
                span = first + number
                low, high = max(offset, span * SPAN), min(offset + len(target), (span + 1) * SPAN)
                share = target[low - offset : high - offset]
                opener.span(low, share)
                if on_span is not None:
                    on_span(span, share)

            return open_span

        try:
            for_each(last - first if len(target) else 0, new_task, threads=threads)
        except BaseException:
            _wipe(target)
            raise

    def each_span(self, on_span: OnSpan, *, threads: int | None = None) -> None:
        """Opens everything, span by span in memory of its own.  An empty payload has no span.  Raises NotAuthentic."""

        def new_task() -> Task:
            opener = self._opener()
            buffer = memoryview(bytearray(min(SPAN, self.size)))

            def open_span(number: int) -> None:
                share = buffer[: min(SPAN, self.size - number * SPAN)]
                opener.span(number * SPAN, share)
                on_span(number, share)

            return open_span

        for_each(-(-self.size // SPAN), new_task, threads=threads)

    def _opener(self) -> _Opener:
        return _Opener(self._key, self._source, start=self._start, count=self._count)


class _Opener:
    """One thread's cipher and ciphertext buffer."""

    def __init__(self, key: bytes, source: Source, *, start: int, count: int) -> None:
        self._aead = ChaCha20Poly1305(key)
        self._source = source
        self._start = start
        self._count = count
        self._scratch = memoryview(bytearray(min(SPAN_CHUNKS, count) * SEALED_CHUNK))

    def check_final(self) -> None:
        """Opens the last chunk and drops it."""
        index = self._count - 1
        try:
            self._aead.decrypt(chunk_nonce(index, final=True), self._sealed(index, self._count), None)
        except InvalidTag:
            raise broken_payload() from None

    def span(self, low: int, target: memoryview) -> None:
        """Fills ``target``, which does not leave its span, from plaintext offset ``low``."""
        first, last = low // CHUNK, -(-(low + len(target)) // CHUNK)
        sealed = self._sealed(first, last)
        try:
            for index in range(first, last):
                chunk = sealed[(index - first) * SEALED_CHUNK :][:SEALED_CHUNK]
                self._chunk_into(index, chunk, target, begin=index * CHUNK - low)
        except InvalidTag:
            raise broken_payload() from None

    def _chunk_into(self, index: int, chunk: memoryview, target: memoryview, *, begin: int) -> None:
        """Opens a chunk whose first byte belongs at ``target[begin]``; ``begin`` is negative where the range starts in
        mid-chunk.  A chunk that lies wholly inside is opened in place."""
        end = begin + len(chunk) - TAG
        nonce = chunk_nonce(index, final=index == self._count - 1)
        if begin >= 0 and end <= len(target):
            self._aead.decrypt_into(nonce, chunk, None, target[begin:end])
            return
        low, high = max(begin, 0), min(end, len(target))
        target[low:high] = self._aead.decrypt(nonce, chunk, None)[low - begin : high - begin]

    def _sealed(self, first: int, last: int) -> memoryview:
        """The ciphertext of the chunks from ``first`` up to ``last``."""
        low = first * SEALED_CHUNK
        high = min(last * SEALED_CHUNK, self._source.size - self._start)
        return self._source.view(self._start + low, high - low, self._scratch)


class PayloadWriter:
    """Seals a plaintext of known size into a file, spans in any order.  ``key`` is the 32-byte payload key of a payload
    that has never been written before; the chunks go to ``sink`` from offset ``start`` on."""

    def __init__(self, key: bytes, sink: BlockFile, *, start: int, size: int) -> None:
        self._key = key
        self._sink = sink
        self._start = start
        self._count = _chunks(size)
        self.size = size

    def write_from(self, source: Source, *, threads: int | None = None, on_span: OnSpan | None = None) -> None:
        """Seals ``source``, which must hold ``size`` bytes.  ``on_span`` sees the plaintext of each span, exactly the
        bytes that are sealed.  Raises Unavailable when the source shrank."""

        def new_task() -> Task:
            aead = ChaCha20Poly1305(self._key)
            scratch = memoryview(bytearray(SPAN))
            sealed = memoryview(bytearray(SPAN_CHUNKS * SEALED_CHUNK))

            def seal_span(number: int) -> None:
                low = number * SPAN
                plain = source.view(low, min(SPAN, self.size - low), scratch)
                filled = 0
                for index in range(number * SPAN_CHUNKS, min((number + 1) * SPAN_CHUNKS, self._count)):
                    chunk = plain[index * CHUNK - low :][:CHUNK]
                    nonce = chunk_nonce(index, final=index == self._count - 1)
                    filled += aead.encrypt_into(nonce, chunk, None, sealed[filled : filled + len(chunk) + TAG])
                self._sink.write(self._start + number * SPAN_CHUNKS * SEALED_CHUNK, sealed[:filled])
                if on_span is not None and len(plain):
                    on_span(number, plain)

            return seal_span

        for_each(-(-self._count // SPAN_CHUNKS), new_task, threads=threads)


def _chunks(size: int) -> int:
    """How many chunks hold ``size`` bytes: one at least, and none empty beside others."""
    return max(1, -(-size // CHUNK))


def _wipe(target: memoryview) -> None:
    zeros = bytes(SPAN)
    for at in range(0, len(target), SPAN):
        share = target[at : at + SPAN]
        share[:] = zeros[: len(share)]
