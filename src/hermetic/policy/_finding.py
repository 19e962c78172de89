"""One thing that is wrong with a policy before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about a policy.  ``code`` is stable; ``fix`` says what to write.  Advice does not ``refuse``."""

    code: str
    message: str
    fix: str = ""
    refuses: bool = True


def empty_list(table: str, field: str) -> Finding:
    """A list of what is wanted without anything in it: it would never accept, and never meant to."""
    return Finding(
        code=f"pins_no_{field}",
        message=f"{table}.{field} is empty, so nothing would be accepted",
        fix="leave it out to not ask",
    )


def excludes_nothing(floor: str) -> Finding:
    """A floor that stands in a production policy and lets everything pass: as good as none."""
    return Finding(
        code="floor_excludes_nothing",
        message=f"{floor} is a floor that excludes nothing",
        fix="state the oldest version that you accept",
    )


def too_lax(table: str, words: str) -> Finding:
    """Something that only a development policy may say."""
    return Finding(code="too_lax", message=f"a production policy may not say {table}.{words}", fix="remove it")
