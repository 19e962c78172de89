"""Prometheus text, without a client library: a few counters, one histogram, gauges read when asked.

Labels are routes, methods, statuses and kinds of token, all from fixed sets: nothing a prompt decides can become one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator

from hermetic.serve.engine import Usage

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds


class Metrics:
    """``gauges`` are functions by metric name, each with its help text."""

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        self._gauges = gauges
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._tokens: Counter[str] = Counter({"prompt": 0, "completion": 0})
        self._durations: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def request(self, *, route: str, method: str, status: int, seconds: float, usage: Usage | None) -> None:
        """Counts one request that has ended.  ``seconds`` from its first byte to its last."""
        self._requests[route, method, status] += 1
        self._durations.setdefault(route, [0] * (len(_BUCKETS) + 1))[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds[route] = self._seconds.get(route, 0.0) + seconds
        if usage is not None:
            self._tokens["prompt"] += usage.prompt
            self._tokens["completion"] += usage.completion

    def render(self) -> bytes:
        """All of it in the text exposition format 0.0.4."""
        return ("\n".join(self._lines()) + "\n").encode()

    def _lines(self) -> Iterator[str]:
        yield from _head("hermetic_requests_total", "counter", "Requests that have ended.")
        for (route, method, status), count in sorted(self._requests.items()):
            yield f'hermetic_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
        yield from _head("hermetic_tokens_total", "counter", "Tokens read and written.")
        for kind, count in sorted(self._tokens.items()):
            yield f'hermetic_tokens_total{{kind="{kind}"}} {count}'
        yield from _head("hermetic_request_seconds", "histogram", "From a request's first byte to its last.")
        for route in sorted(self._durations):
            yield from self._histogram(route)
        for name, (help_text, read) in self._gauges.items():
            yield from _head(name, "gauge", help_text)
            yield f"{name} {read():g}"

    def _histogram(self, route: str) -> Iterator[str]:
        total = 0
        for edge, count in zip((*_BUCKETS, None), self._durations[route], strict=True):
            total += count
            bound = "+Inf" if edge is None else f"{edge:g}"
            yield f'hermetic_request_seconds_bucket{{route="{route}",le="{bound}"}} {total}'
        yield f'hermetic_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
        yield f'hermetic_request_seconds_count{{route="{route}"}} {total}'


def _head(name: str, kind: str, help_text: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
