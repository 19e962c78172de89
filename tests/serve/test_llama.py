"""The engine: it answers in pieces, lets go when told, keeps nothing, and leaves no door open."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import serve_support
from hermetic.errors import Misconfigured
from hermetic.serve.engine import ContextExceeded, EngineFailed, EngineRefused, Piece
from hermetic.serve.llama import LlamaEngine, default_threads
from serve_support import CONTEXT, SLOTS

GREETING = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 6, "temperature": 0}


async def _chat(engine: LlamaEngine, request: Mapping[str, Any]) -> list[Piece]:
    return [piece async for piece in engine.chat(request)]


async def _idle(engine: LlamaEngine) -> None:
    async with asyncio.timeout(30):
        while engine.busy:
            await asyncio.sleep(0.005)


def test_an_answer_comes_in_pieces_and_says_how_it_ended(engine: LlamaEngine) -> None:
    pieces = asyncio.run(_chat(engine, GREETING))
    assert pieces[0] == Piece()
    assert "".join(piece.text for piece in pieces)
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    last = pieces[-1]
    assert last.finish_reason in {"stop", "length"}
    assert last.usage is not None
    assert 1 <= last.usage.completion <= 6
    assert last.usage.prompt > 0


def test_a_prompt_is_continued_with_probabilities(engine: LlamaEngine) -> None:
    async def run() -> list[Piece]:
        return [piece async for piece in engine.complete({"prompt": "The sky is", "max_tokens": 3, "logprobs": 2})]

    pieces = asyncio.run(run())
    tokens = [logprob for piece in pieces for logprob in piece.logprobs]
    assert "".join(piece.text for piece in pieces)
    assert tokens
    assert all(token.logprob <= 0 and len(token.top) == 2 for token in tokens)


def test_nothing_of_a_prompt_is_reused(engine: LlamaEngine) -> None:
    request = {**GREETING, "cache_prompt": True}  # no request may turn it on again
    usages = [asyncio.run(_chat(engine, request))[-1].usage for _ in range(3)]
    assert [usage.cached for usage in usages if usage] == [0, 0, 0]


def test_closing_the_generator_frees_the_slot(engine: LlamaEngine) -> None:
    async def run() -> None:
        endless = {"prompt": "1 2 3 4", "max_tokens": CONTEXT, "ignore_eos": True}
        async with contextlib.aclosing(engine.complete(endless)) as pieces:
            async for piece in pieces:
                if piece.text:
                    break
            assert engine.busy == 1
        await _idle(engine)
        # Every slot is free again: as many requests as there are slots run to their end.
        answers = await asyncio.gather(*(_chat(engine, GREETING) for _ in range(SLOTS)))
        assert all(pieces[-1].usage for pieces in answers)

    asyncio.run(run())


def test_cancelling_the_task_frees_the_slot(engine: LlamaEngine) -> None:
    async def run() -> None:
        task = asyncio.create_task(_chat(engine, {**GREETING, "max_tokens": CONTEXT, "ignore_eos": True}))
        while not engine.busy:
            await asyncio.sleep(0.005)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await _idle(engine)

    asyncio.run(run())


def test_a_prompt_beyond_the_context_is_refused(engine: LlamaEngine) -> None:
    request = {"messages": [{"role": "user", "content": "word " * (2 * CONTEXT)}], "max_tokens": 4}
    with pytest.raises(ContextExceeded, match=str(CONTEXT)):
        asyncio.run(_chat(engine, request))


def test_what_the_engine_cannot_do_is_refused_without_quoting_it(engine: LlamaEngine) -> None:
    schema = {"type": "CANARY-7f3a"}
    request = {**GREETING, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
    with pytest.raises(EngineRefused) as refusal:
        asyncio.run(_chat(engine, request))
    assert "CANARY" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__context__ is None


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF but not really")
    with path.open("rb") as file, pytest.raises(Misconfigured, match="cannot load"):
        LlamaEngine.load(file.fileno(), slots=1, context=64, threads=1)


def test_no_core_is_left_without_air() -> None:
    assert default_threads() == max(1, len(os.sched_getaffinity(0)) - 1)


def test_closing_ends_what_runs_and_refuses_what_comes() -> None:
    async def run() -> None:
        engine = serve_support.load_engine()
        request = {**GREETING, "max_tokens": CONTEXT, "ignore_eos": True}
        task = asyncio.create_task(_chat(engine, request))
        while not engine.busy:
            await asyncio.sleep(0.005)
        await asyncio.to_thread(engine.close)
        with pytest.raises(EngineFailed):
            await task
        with pytest.raises(EngineFailed):
            await _chat(engine, GREETING)

    asyncio.run(run())


PROBE = """
import asyncio, os, sys, tempfile
import serve_support

before = set(os.listdir(tempfile.gettempdir()))
engine = serve_support.load_engine()

mine = {os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")}
inodes = {link[8:-1] for link in mine if link.startswith("socket:[")}
for table in ("tcp", "tcp6", "unix", "udp", "udp6"):
    for line in open(f"/proc/self/net/{table}").read().splitlines()[1:]:
        assert not inodes & set(line.split()), (table, line)
assert not inodes, inodes
left = {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("hermetic-")} - before
assert not left, left

async def ask(request):
    return [piece async for piece in engine.chat(request)]

def say(text, **more):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 4, **more}

def schema(**inside):
    return {"type": "json_schema", "json_schema": {"schema": inside}}

# 1. A prompt.  2. One that is too long.  3. A grammar that fails.
asyncio.run(ask(say("CANARY-9c41 hello")))
for request in (
    say("CANARY-9c41 " * 1000),
    say("CANARY-9c41", response_format=schema(type="CANARY-9c41")),
):
    try:
        asyncio.run(ask(request))
    except Exception as refusal:
        assert "CANARY" not in repr(refusal)
engine.close()
os.write(3, b"done")
"""


def test_no_listener_remains_and_nothing_is_printed() -> None:
    """In a process of its own, because only there are all sockets and all output the engine's."""
    serve_support.model_file()
    read, write = os.pipe()
    tests = Path(__file__).parent.parent
    with os.fdopen(read, "rb") as done:
        completed = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import os, sys; sys.path.insert(0, {str(tests)!r}); os.dup2({write}, 3)\n" + PROBE,
            ],
            capture_output=True,
            pass_fds=(write,),
            check=False,
            timeout=120,
        )
        os.close(write)
        assert (completed.returncode, done.read()) == (0, b"done"), completed.stderr.decode()
    assert (completed.stdout, completed.stderr) == (b"", b"")
