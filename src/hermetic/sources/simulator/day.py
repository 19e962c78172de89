"""The day from which what is signed today holds."""

from __future__ import annotations

from datetime import datetime, timedelta


def yesterday(now: datetime) -> datetime:
    """The midnight before the last: what is signed today already held for a verifier whose clock is a little behind."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
