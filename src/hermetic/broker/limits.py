"""How often one caller may ask.  A token bucket for each address, in a table of bounded size."""

from __future__ import annotations

import threading
from collections import OrderedDict

from hermetic.errors import Unavailable

__all__ = ["RateLimit"]

_MOST_PEERS = 10_000


class RateLimit:
    """``rate`` requests a second on average, ``burst`` at once.  Thread-safe."""

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # peer → (tokens, when); oldest first

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._buckets)

    def spend(self, peer: str, *, monotonic: float) -> None:
        """Counts one request.  Raises Unavailable (``rate_limited``) when the peer has used up its allowance."""
        with self._lock:
            tokens, since = self._buckets.pop(peer, (self._burst, monotonic))
            tokens = min(self._burst, tokens + (monotonic - since) * self._rate)
            allowed = tokens >= 1
            self._buckets[peer] = (tokens - 1 if allowed else tokens, monotonic)
            if len(self._buckets) > _MOST_PEERS:
                # The one that has been quiet longest: its bucket is the likeliest to be full again.
                self._buckets.popitem(last=False)
        if not allowed:
            raise Unavailable("too many requests", code="rate_limited", fix="wait a moment and ask again")
