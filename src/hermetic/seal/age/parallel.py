"""Work in numbered pieces, spread over threads; the first failure ends it all."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

Task = Callable[[int], None]


def usable_threads() -> int:
    """The number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def for_each(count: int, new_task: Callable[[], Task], *, threads: int | None = None) -> None:
    """Calls a task with each number below ``count``.  ``new_task`` is called once a thread, so a task may own buffers.

    When a task raises, or the caller is interrupted, the others stop after their current piece; then it is raised here.
    Nothing runs any more when this returns or raises.
    """
    workers = min(threads or usable_threads(), count)
    if count == 0:
        return
    if workers == 1:
        task = new_task()
        for number in range(count):
            task(number)
        return
    stop = Event()
    numbers = iter(range(count))
    turn = Lock()

    def take() -> int | None:
        with turn:
            return next(numbers, None)

    def work() -> None:
        task = new_task()
        try:
            while not stop.is_set() and (number := take()) is not None:
                task(number)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(workers, thread_name_prefix="seal") as pool:
        running = [pool.submit(work) for _ in range(workers)]
        try:
            for future in running:
                future.result()
        finally:
            stop.set()
