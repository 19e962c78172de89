"""llama.cpp as an engine: a GGUF model in memory, and no way in but this object.

llama.cpp's server insists on a listener.  It is given a unix socket in a folder that only this user can enter and a
key that nobody learns; once the model is loaded the socket is shut down and the folder removed, so no port and no path
remains.  Requests never travel through a socket at all: they are handed to the engine as Python values.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hermetic.errors import Misconfigured
from hermetic.serve._listener import remove_listener
from hermetic.serve._llama_chunks import failure, read_chat, read_completion
from hermetic.serve.engine import EngineFailed, EngineRefused, Piece

__all__ = ["LlamaEngine", "default_threads"]

_BATCH = 512  # tokens of a prompt between two chances to cancel
_SILENT = -1  # below the level of errors, which may quote a request

# Not for the request to choose: the answer comes in pieces (only those can be cancelled), with its token counts, and no
# slot keeps a prompt for the next request.
_ALWAYS: Mapping[str, Any] = {
    "stream": True,
    "stream_options": {"include_usage": True},
    "return_progress": True,
    "cache_prompt": False,
}


def default_threads() -> int:
    """Cores less one, at least one: llama.cpp collapses when a core of its own is busy elsewhere."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class LlamaEngine:
    """One GGUF model under llama.cpp.  Made by :meth:`load`."""

    def __init__(self, server: Any, *, slots: int, context: int) -> None:
        self.slots = slots
        self.context = context
        self._server = server
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="llama")
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._busy = 0

    @classmethod
    def load(cls, model: int, *, slots: int = 4, context: int = 2048, threads: int | None = None) -> LlamaEngine:
        """Loads the GGUF file behind the descriptor ``model`` (a sealed memfd), which may be closed afterwards.

        Blocking.  ``context`` is in tokens for each slot.  Raises Misconfigured when llama.cpp cannot read the model,
        EngineFailed when its listener does not go away.
        """
        import xllamacpp

        with tempfile.TemporaryDirectory(prefix="hermetic-") as folder:  # mode 0700
            path = str(Path(folder, "e.sock"))
            params = _parameters(model, path, slots=slots, context=context, threads=threads or default_threads())
            try:
                server = xllamacpp.Server(params)
            except Exception:
                raise Misconfigured("llama.cpp cannot load this model", fix="it must be a GGUF file") from None
            remove_listener(path)
        return cls(server, slots=slots, context=context)

    @property
    def busy(self) -> int:
        """Slots at work, those being cancelled included."""
        return self._busy

    def chat(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """See :class:`hermetic.serve.engine.Engine`."""
        return self._pieces("handle_chat_completions", request, read_chat)

    def complete(self, request: Mapping[str, Any]) -> AsyncGenerator[Piece, None]:
        """See :class:`hermetic.serve.engine.Engine`."""
        return self._pieces("handle_completions", request, read_completion)

    def close(self) -> None:
        """Cancels what runs, waits for it, and frees the model.  Blocking."""
        self._closing.set()
        self._threads.shutdown(wait=True)
        self._server = None

    async def _pieces(
        self, handler: str, request: Mapping[str, Any], read: Callable[[Mapping[str, Any]], Piece]
    ) -> AsyncGenerator[Piece, None]:
        arrived = _Arrivals(asyncio.get_running_loop(), self._closing)
        try:
            self._threads.submit(self._work, handler, {**request, **_ALWAYS}, arrived)
        except RuntimeError:
            raise EngineFailed("the server is stopping") from None
        accepted, ending = False, None
        try:
            while (chunk := await arrived.next()) is not None:
                piece = read(chunk)
                if piece.finish_reason is not None:
                    ending = piece
                if piece.usage is not None and ending is not None:
                    ending = dataclasses.replace(ending, usage=piece.usage)
                # Progress through a long prompt gives a chance to cancel; only its first sign of life is passed on.
                elif ending is None and (piece != _NOTHING or not accepted):
                    accepted = True
                    yield piece
            if ending is None or ending.usage is None:
                raise EngineFailed("the engine stopped before the answer ended")
            yield ending
        finally:
            arrived.cancel()

    def _work(self, handler: str, body: dict[str, Any], arrived: _Arrivals) -> None:
        """Runs in a thread of its own, which llama.cpp holds (without the GIL) until the answer ends."""
        outcome: Exception | None = None
        with self._counted():
            try:
                if not arrived.unwanted:
                    getattr(self._server, handler)(body, arrived.push)
            except ValueError:
                # Raised while the request is read; its text may quote it.
                outcome = EngineRefused("the engine cannot carry out this request")
            except Exception:
                outcome = EngineFailed("the engine failed")
        arrived.end(outcome)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1


_NOTHING = Piece()


class _Arrivals:
    """Chunks on their way from the engine's thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, closing: threading.Event) -> None:
        self._loop = loop
        self._closing = closing
        self._cancelled = threading.Event()
        self._queue: asyncio.Queue[dict[str, Any] | Exception | None] = asyncio.Queue()

    @property
    def unwanted(self) -> bool:
        return self._cancelled.is_set() or self._closing.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    def push(self, chunk: dict[str, Any]) -> bool:
        """Called by llama.cpp; True tells it to stop."""
        return self.unwanted or not self._send(chunk)

    def end(self, outcome: Exception | None) -> None:
        self._send(outcome)

    async def next(self) -> dict[str, Any] | None:
        """The next chunk, or None after the last.  Raises what went wrong."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        if item is not None and "error" in item:
            raise failure(item["error"])
        return item

    def _send(self, item: dict[str, Any] | Exception | None) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)
        except RuntimeError:  # the loop has gone, and with it whoever asked
            return False
        return True


def _parameters(model: int, path: str, *, slots: int, context: int, threads: int) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = f"/proc/self/fd/{model}"
    params.n_parallel = slots
    params.n_ctx = context * slots  # llama.cpp divides it among the slots
    params.n_batch = params.n_ubatch = _BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.fit_params = False  # exactly what was asked for, or an error
    params.prefill_assistant = False
    # Nothing of a request outlives it.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    # Nothing of a request is told.
    params.verbosity = _SILENT
    params.endpoint_slots = params.endpoint_metrics = params.endpoint_props = False
    params.ui = False
    # Nobody else gets in.
    params.hostnames = [path]
    params.api_keys = [secrets.token_hex(32)]
    params.offline = True
    return params
