"""Questions that a verification asks by name, each answered by one :class:`hermetic.verify.Check`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hermetic.errors import HermeticError, Refused
from hermetic.verify import Check, Outcome

__all__ = ["Question", "conclude"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``title`` is a sentence that is true if the check passes; ``section`` says who asks for it."""

    name: str
    title: str
    section: str

    def judge(self, good: bool, *, expected: str, got: str, fix: str = "") -> Check:
        """Passed if ``good``, else failed."""
        return self._answer(Outcome.PASS if good else Outcome.FAIL, expected, got, "" if good else fix)

    def equal(self, *, expected: str, got: str) -> Check:
        """Passed if the two are the same."""
        return self.judge(expected == got, expected=expected, got=got)

    def attempt(self, step: Callable[[], object], *, expected: str, got: str) -> Check:
        """Passed unless ``step`` refuses; then failed for its reason."""
        try:
            step()
        except Refused as error:
            return self.refused(error, expected=expected)
        return self.judge(True, expected=expected, got=got)

    def refused(self, error: HermeticError, *, expected: str) -> Check:
        """Failed, for the reason in ``error``."""
        return self._answer(Outcome.FAIL, expected, error.message, error.fix)

    def unanswered(self, *, expected: str, got: str, fix: str = "") -> Check:
        """Not performed: something to answer it with is missing."""
        return self._answer(Outcome.NOT_PERFORMED, expected, got, fix)

    def _answer(self, outcome: Outcome, expected: str, got: str, fix: str) -> Check:
        return Check(
            name=self.name,
            title=self.title,
            outcome=outcome,
            expected=expected,
            got=got,
            section=self.section,
            fix=fix,
        )


def conclude(checks: Iterable[Check]) -> Outcome:
    """FAIL if any check failed; PASS if there were checks and all of them passed; otherwise NOT_PERFORMED."""
    outcomes = {check.outcome for check in checks}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.NOT_PERFORMED
