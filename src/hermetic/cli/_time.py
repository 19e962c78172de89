"""A time that somebody typed."""

from __future__ import annotations

from datetime import UTC, datetime

from hermetic.errors import Misconfigured

__all__ = ["time_at"]


def time_at(text: str) -> datetime:
    """``--at``, in UTC, which is also what a time without a zone is taken to be in.  Raises Misconfigured."""
    try:
        when = datetime.fromisoformat(text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:  # the latter: year 1 or 9999 here, and another one in UTC
        raise Misconfigured(f"--at {text}: expected a time such as 2026-11-24T12:00:00Z") from error
