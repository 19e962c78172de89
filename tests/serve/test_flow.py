"""Admission, deadlines and batches: bounded in number, in time, and in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import pytest

from hermetic.errors import Unavailable
from hermetic.ledger import Inclusion
from hermetic.serve.admission import Admission
from hermetic.serve.batch import Batch
from hermetic.serve.deadline import Deadline
from hermetic.serve.errors import ApiError


async def _hold(admission: Admission, until: asyncio.Event, seconds: float = 60) -> None:
    async with admission.slot(Deadline.after(seconds)):
        await until.wait()


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_slots_then_a_queue_then_no() -> None:
    async def run() -> None:
        admission, until = Admission(slots=2, queue=1, retry_after=1.5), asyncio.Event()
        inside = [asyncio.create_task(_hold(admission, until)) for _ in range(3)]
        await _settled()
        assert (admission.running, admission.waiting) == (2, 1)
        with pytest.raises(ApiError) as refusal:
            await _hold(admission, until)
        assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (429, "2")
        until.set()
        await asyncio.gather(*inside)
        assert (admission.running, admission.waiting) == (0, 0)
        await _hold(admission, until)

    asyncio.run(run())


def test_whoever_waits_too_long_or_leaves_gives_the_place_up() -> None:
    async def run() -> None:
        admission, until = Admission(slots=1, queue=1), asyncio.Event()
        holder = asyncio.create_task(_hold(admission, until))
        await _settled()
        with pytest.raises(ApiError) as refusal:
            await _hold(admission, until, seconds=0.01)
        assert (refusal.value.status, refusal.value.code) == (503, "timeout")
        waiter = asyncio.create_task(_hold(admission, until))
        await _settled()
        waiter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiter
        assert admission.waiting == 0
        until.set()
        await holder

    asyncio.run(run())


def test_nobody_is_admitted_while_stopping() -> None:
    async def run() -> None:
        admission = Admission(slots=1, queue=1)
        admission.stop()
        with pytest.raises(ApiError) as refusal:
            await _hold(admission, asyncio.Event())
        assert (refusal.value.status, refusal.value.code) == (503, "stopping")

    asyncio.run(run())


def test_a_deadline_closes_what_it_iterates() -> None:
    closed = []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async def run() -> None:
        items = Deadline.after(0.01).each(endless())
        assert await anext(items) == 1
        with pytest.raises(ApiError) as refusal:
            await anext(items)
        assert (refusal.value.code, closed) == ("timeout", [True])

    asyncio.run(run())


class Scribe:
    """A log that can be told to be down."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.down = 0

    async def __call__(self, leaves: Sequence[bytes]) -> Sequence[Inclusion]:
        if self.down:
            self.down -= 1
            raise Unavailable("down")
        first = sum(map(len, self.batches))
        self.batches.append(list(leaves))
        return [Inclusion(index=first + i, proof=(), note=b"") for i in range(len(leaves))]


@contextlib.asynccontextmanager
async def running(batch: Batch) -> AsyncGenerator[None, None]:
    task = asyncio.create_task(batch.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_leaves_go_together_and_in_order() -> None:
    async def run() -> None:
        scribe, placed = Scribe(), []
        batch = Batch(scribe, interval=0.01, size=3)
        async with running(batch):
            for number in range(5):
                batch.add(bytes([number]) * 32, lambda place: placed.append(place.index))
            async with asyncio.timeout(10):
                while batch.pending:
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)  # an empty batch is not asked for
        assert [len(leaves) for leaves in scribe.batches] == [3, 2]
        assert placed == [0, 1, 2, 3, 4]

    asyncio.run(run())


def test_leaves_wait_while_the_log_is_down() -> None:
    async def run() -> None:
        scribe, placed = Scribe(), []
        scribe.down = 3
        batch = Batch(scribe, interval=0.001)
        async with running(batch):
            batch.add(b"a" * 32, lambda place: placed.append(place.index))
            async with asyncio.timeout(10):
                while not placed:
                    await asyncio.sleep(0.005)
        assert scribe.batches == [[b"a" * 32]]

    asyncio.run(run())


def test_waiting_leaves_are_bounded_and_what_is_lost_is_counted() -> None:
    async def run() -> None:
        scribe, placed = Scribe(), []
        batch = Batch(scribe, capacity=2)
        for number in range(5):
            batch.add(bytes([number]) * 32, lambda place: placed.append(place.index))
        assert (batch.pending, batch.lost) == (2, 3)
        await batch.drain(seconds=5)
        assert placed == [0, 1]

    asyncio.run(run())


def test_the_end_does_not_wait_for_a_log_that_is_down() -> None:
    async def run() -> None:
        scribe = Scribe()
        scribe.down = 10**9
        batch = Batch(scribe)
        batch.add(b"a" * 32, lambda place: None)
        async with asyncio.timeout(10):
            await batch.drain(seconds=5)
        assert batch.pending == 1

    asyncio.run(run())
