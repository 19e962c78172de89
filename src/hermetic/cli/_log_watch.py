"""``hermetic log watch``: looks at a log again and again, and stops with an alarm where it does not hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from hermetic.cli import EXIT_INCOMPLETE, EXIT_REFUSED, EXIT_UNAVAILABLE
from hermetic.errors import NotAuthentic, Unavailable

if TYPE_CHECKING:
    from hermetic.ledger import Checkpoint
    from hermetic.verify import Check

__all__ = ["Look", "exit_code", "tell_look", "watch_log"]

Audited = tuple["Checkpoint", tuple["Check", ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a log.  ``alarm`` is None where everything held, or where nobody answered (``size`` is then None)."""

    at: datetime
    size: int | None
    alarm: Check | None
    unavailable: str = ""


def watch_log(audit: Callable[[], Audited], *, seconds: float, looks: int | None) -> Iterator[Look]:
    """Looks every ``seconds``, ``looks`` times or without end.  The look with an alarm is the last one.

    That nobody answers is told and is no alarm: the network can always do that.  Whatever was not answered for is one.
    Raises NotAuthentic where nothing was checked at all, and what ``audit`` raises where the log cannot even be read.
    """
    from hermetic.verify import Outcome

    done = 0
    while looks is None or done < looks:
        if done:
            time.sleep(seconds)
        done += 1
        at = datetime.now(UTC)
        try:
            claimed, checks = audit()
        except Unavailable as error:
            yield Look(at=at, size=None, alarm=None, unavailable=error.message)
            continue
        if not checks:
            raise NotAuthentic("nothing of the log was checked")
        alarm = next((check for check in checks if check.outcome is not Outcome.PASS), None)
        yield Look(at=at, size=claimed.size, alarm=alarm)
        if alarm is not None:
            return


def exit_code(look: Look) -> int:
    """What the watch ends with when this was the last look."""
    from hermetic.verify import Outcome

    if look.alarm is not None:
        return EXIT_REFUSED if look.alarm.outcome is Outcome.FAIL else EXIT_INCOMPLETE
    return EXIT_UNAVAILABLE if look.size is None else 0


def tell_look(look: Look, *, as_json: bool) -> None:
    """One line, or one JSON object on a line."""
    from hermetic.cli._visible import on_one_line

    if as_json:
        alarm = None if look.alarm is None else look.alarm.to_json()
        fields = {"at": look.at.isoformat(), "size": look.size, "alarm": alarm, "unavailable": look.unavailable}
        click.echo(json.dumps(fields))
        return
    when = f"{look.at:%Y-%m-%d %H:%M:%S}"
    if look.alarm is not None:
        click.echo(f"{when} ALARM {look.alarm.name}: {on_one_line(look.alarm.title)}: {on_one_line(look.alarm.got)}")
    elif look.size is None:
        click.echo(f"{when} no answer: {on_one_line(look.unavailable)}")
    else:
        click.echo(f"{when} {look.size} entries, everything holds")
