"""What an operator sees of a running broker: counts, times and outcomes; never a key, a header, or who asked for what.

Both outlets are allow-lists by construction: a log line and a metric have no place for anything else.  Who was given
what is in the journal, for the owner.
"""

from __future__ import annotations

import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import IO

import msgspec

__all__ = ["METRICS_TYPE", "Telemetry"]

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds

Gauges = Mapping[str, tuple[str, Callable[[], float]]]


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One log line.  ``route`` is one of ours, ``code`` one of our error codes."""

    at: float
    event: str
    route: str = ""
    status: int = 0
    code: str = ""
    ms: float = 0.0


class Telemetry:
    """Counters and one histogram for each route, and JSON lines to ``stream``.  Thread-safe."""

    def __init__(self, gauges: Gauges, *, stream: IO[bytes] | None = None) -> None:
        self._gauges = gauges
        self._stream = stream or sys.stderr.buffer
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int, str]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def note(self, event: str) -> None:
        """Something that happened to the broker itself, in a word of ours."""
        self._write(_Line(at=round(time.time(), 3), event=event))

    def fault(self, error: Exception) -> None:
        """A fault of our own: its kind and where it was raised, never its text."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f" at {place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
        self.note(f"fault: {type(error).__name__}{where}")

    def answered(self, *, route: str, status: int, code: str, seconds: float) -> None:
        """One request was answered; ``code`` is empty on success."""
        with self._lock:
            self._answers[route, status, code] += 1
            self._buckets.setdefault(route, [0] * (len(_BUCKETS) + 1))[bisect_left(_BUCKETS, seconds)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds
        if status != 200 or route not in _QUIET:
            ms = round(seconds * 1000, 3)
            self._write(_Line(at=round(time.time(), 3), event="answered", route=route, status=status, code=code, ms=ms))

    def render(self) -> bytes:
        """The text exposition format 0.0.4."""
        with self._lock:
            lines = list(self._lines())
        return ("\n".join(lines) + "\n").encode()

    def _write(self, line: _Line) -> None:
        with self._lock:
            self._stream.write(msgspec.json.encode(line) + b"\n")
            self._stream.flush()

    def _lines(self) -> Iterator[str]:
        yield from _head("hermetic_broker_answers_total", "counter", "Requests answered.")
        for (route, status, code), count in sorted(self._answers.items()):
            yield f'hermetic_broker_answers_total{{route="{route}",status="{status}",code="{code}"}} {count}'
        yield from _head("hermetic_broker_answer_seconds", "histogram", "From a request's last byte to its answer.")
        for route, counts in sorted(self._buckets.items()):
            total = 0
            for edge, count in zip((*_BUCKETS, None), counts, strict=True):
                total += count
                bound = "+Inf" if edge is None else f"{edge:g}"
                yield f'hermetic_broker_answer_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
            yield f'hermetic_broker_answer_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'hermetic_broker_answer_seconds_count{{route="{route}"}} {total}'
        for name, (text, read) in self._gauges.items():
            yield from _head(name, "gauge", text)
            yield f"{name} {read():g}"


_QUIET = frozenset({"/healthz", "/metrics", "/checkpoint", "/tile"})


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"
