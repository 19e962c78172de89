"""A clock that never runs backwards past what signed documents have shown (design.md D11).

The host owns the clock.  Setting it back would revive expired collateral, so ``now`` is never earlier than the newest
signed date this client has seen.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hermetic.client.folders import read_document, write_document
from hermetic.errors import Malformed

__all__ = ["FlooredClock"]


class FlooredClock:
    """``now()`` in UTC, at least the newest date given to ``observe``; kept in ``path`` between runs when given.

    Raises Malformed where what is in ``path`` cannot be read: then nothing says how late it is at least.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._floor = datetime.min.replace(tzinfo=UTC)
        if path is not None and (document := read_document(path)) is not None:
            self._floor = _floor(document, path)

    def now(self) -> datetime:
        return max(datetime.now(UTC), self._floor)

    def observe(self, dates: Iterable[datetime]) -> None:
        """Raises the floor to the newest of ``dates``: only dates that a vendor signed, and verified, belong here."""
        with self._lock:
            newest = max(dates, default=self._floor)
            if newest <= self._floor:
                return
            self._floor = newest
            if self._path is not None:
                write_document(self._path, {"not_before": int(newest.timestamp())})


def _floor(document: dict[str, Any], path: Path) -> datetime:
    try:
        return datetime.fromtimestamp(document["not_before"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise Malformed(
            f"{path}: expected not_before, in seconds since 1970",
            fix="see that this machine's clock is right, then remove the file: it is written anew",
        ) from error
