"""How a table of a policy says what it found: named checks with what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hermetic.verify import Check

SECTION = "policy"
_SPELT_OUT = 8
"""As many alternatives are listed one by one; of longer lists a person wants to know the length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an appraisal: the table that asks (``snp``, ``nvidia.gpu0``) and the specification behind it."""

    table: str
    section: str

    def check(self, name: str, title: str, good: bool, expected: str, got: str, fix: str = "") -> Check:
        """``policy.<table>.<name>``: passed or failed, with ``fix`` only where it failed."""
        name = f"policy.{self.table}.{name}"
        return Check.judged(name, title, good, expected=expected, got=got, section=self.section, fix=fix)

    def member(self, name: str, title: str, got: str, wanted: Collection[str], fix: str = "") -> Check:
        """``got`` is one of ``wanted``; of none, it is not.  An empty ``got`` is one that nobody stated."""
        return self.check(name, title, got in wanted, one_of(wanted), got or "not stated", fix)

    def no_other_bits(self, name: str, title: str, unnamed: int, allowed: tuple[int, ...], knob: str) -> Check:
        """No bit of ``unnamed`` is set but those that ``knob`` names by number."""
        bits = [bit for bit in range(64) if unnamed >> bit & 1]
        return self.check(
            name,
            title,
            set(bits) <= set(allowed),
            f"none but {', '.join(map(str, allowed))}" if allowed else "none",
            ", ".join(f"bit {bit}" for bit in bits) or "none",
            f"find out what the bit means; then name it: {knob} = [{', '.join(map(str, sorted({*bits, *allowed})))}]",
        )


def policy_check(name: str, title: str, good: bool, expected: str, got: str, fix: str = "") -> Check:
    """A check of no table: only the policy itself asks for it."""
    return Check.judged(name, title, good, expected=expected, got=got, section=SECTION, fix=fix)


def one_of(values: Collection[str]) -> str:
    """Alternatives in words."""
    if len(values) > _SPELT_OUT:
        return f"one of {len(values)} that the policy lists"
    return " or ".join(values) or "nothing pinned"
