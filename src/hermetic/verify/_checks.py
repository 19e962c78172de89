"""Checks with names: what was asked, what came, and where the specification asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from hermetic.errors import Malformed, NotAuthentic


class Outcome(StrEnum):
    """How a check ended.  ``NOT_PERFORMED`` is never a pass."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    NOT_PERFORMED = "not performed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One named step of a verification or an appraisal, for a person to read and a program to find.

    ``name`` is stable ("snp.signature"); ``title`` is a sentence that is true if the check passed; ``expected`` and
    ``got`` never hold a secret; ``section`` says which step of which specification asks for it; ``fix`` what to do.
    """

    name: str
    title: str
    outcome: Outcome
    expected: str
    got: str
    section: str
    fix: str = ""

    @classmethod
    def judged(cls, name: str, title: str, good: bool, *, expected: str, got: str, section: str, fix: str) -> Check:
        """Passed if ``good``, else failed; ``fix`` is kept only where it failed."""
        outcome = Outcome.PASS if good else Outcome.FAIL
        fix = "" if good else fix
        return cls(name=name, title=title, outcome=outcome, expected=expected, got=got, section=section, fix=fix)

    def to_json(self) -> dict[str, str]:
        """For programs."""
        return {
            "name": self.name,
            "title": self.title,
            "outcome": str(self.outcome),
            "expected": self.expected,
            "got": self.got,
            "section": self.section,
            "fix": self.fix,
        }


class Checklist:
    """Records the checks of one verification and stops it at the first that fails."""

    def __init__(self) -> None:
        self._made: list[Check] = []

    @property
    def made(self) -> tuple[Check, ...]:
        """The checks so far, in order."""
        return tuple(self._made)

    @contextmanager
    def step(
        self, name: str, title: str, *, section: str, expected: str, got: str = "as expected", fix: str = ""
    ) -> Iterator[None]:
        """One check: it passes if the block ends.

        Malformed or NotAuthentic raised in the block becomes the step's own refusal, of the same type: the reason is
        what it ``got``, the name its ``code``, and the checks so far, this one included, its ``checks``.
        """
        try:
            yield
        except (Malformed, NotAuthentic) as reason:
            fix = reason.fix or fix
            self._record(name, title, Outcome.FAIL, expected, reason.message, section, fix)
            refusal = type(reason)(f"{title}: expected {expected}; got {reason.message}", code=name, fix=fix)
            refusal.checks = self.made
            raise refusal from reason
        self._record(name, title, Outcome.PASS, expected, got, section)

    def not_performed(self, name: str, title: str, *, section: str, expected: str, got: str, fix: str) -> None:
        """A check that the caller chose to do without.  Said aloud, so that it never passes for a pass."""
        self._record(name, title, Outcome.NOT_PERFORMED, expected, got, section, fix)

    def _record(
        self, name: str, title: str, outcome: Outcome, expected: str, got: str, section: str, fix: str = ""
    ) -> None:
        self._made.append(
            Check(name=name, title=title, outcome=outcome, expected=expected, got=got, section=section, fix=fix)
        )
