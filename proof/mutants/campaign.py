"""Runs mutants, judges the answers, and counts."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice

from hermetic.errors import HermeticError
from proof.bounded import TooSlow, bounded
from proof.mutants.kinds import KINDS, applies
from proof.mutants.malleable import Accepted, explain
from proof.specimens import ASKED, Parts, Specimen, all_specimens, specimen

SECONDS = 5.0
"""How long one verification may take; the slowest genuine one takes a hundredth of it."""
_SHARD = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A share of the mutants of one kind of one part of one specimen: those at ``start``, ``start + step``, …"""

    specimen: str
    part: str
    kind: str
    start: int = 0
    step: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A mutant that was accepted without a reason, or that did anything but be refused."""

    unit: Unit
    where: str
    problem: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the mutants of one unit."""

    unit: Unit
    made: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def units(*, tees: Sequence[str] = (), kinds: Sequence[str] = (), every: int = 1) -> Iterator[Unit]:
    """All there is to do, in shares of about ``_SHARD`` mutants; with ``every`` a fixed sample, one of so many."""
    for each in all_specimens():
        for part in each.parts if not tees or each.tee in tees else ():
            for kind in KINDS:
                if (kinds and kind not in kinds) or not applies(kind, each, part):
                    continue
                if every > 1:
                    # A different start for each, so that a part of few mutants is met too.
                    start = sum(f"{each.name}{part}{kind}".encode()) % every
                    yield Unit(specimen=each.name, part=part, kind=kind, start=start, step=every)
                    continue
                shares = 1 + _estimate(kind, each.parts[part]) // _SHARD
                for start in range(shares):
                    yield Unit(specimen=each.name, part=part, kind=kind, start=start, step=shares)


def _estimate(kind: str, data: bytes) -> int:
    return (
        8 * len(data)
        if kind == "bit"
        else len(data)
        if kind in ("truncation", "der")
        else 4 * _SHARD * (kind == "field")
    )


def run_unit(unit: Unit) -> Outcome:
    """Judges every mutant of ``unit``."""
    each, outcome = specimen(unit.specimen), Outcome(unit=unit)
    untouched = each.with_part(unit.part, each.parts[unit.part])
    with warnings.catch_warnings():
        # A flipped bit can make a serial number zero or a country eleven letters long, of which a library warns.
        warnings.simplefilter("ignore")
        for where, make in islice(KINDS[unit.kind](each, unit.part), unit.start, None, unit.step):
            parts = make()
            if parts not in (each.parts, untouched):
                outcome.made += 1
                _judge(outcome, each, where, parts)
    return outcome


def _judge(outcome: Outcome, each: Specimen, where: str, parts: Parts) -> None:
    unit = outcome.unit
    try:
        with bounded(SECONDS):
            said = each.judge(parts)
    except HermeticError as refusal:
        outcome.refused[refusal.code] += 1
        return
    except TooSlow:
        problem = f"no answer within {SECONDS} s"
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        meaning = _meaning(unit.specimen, asked=ASKED in parts)
        mutant = Accepted(specimen=each, kind=unit.kind, part=unit.part, parts=parts, said=said, meaning=meaning)
        if reason := explain(mutant):
            outcome.listed[reason] += 1
            return
        problem = f"accepted, and means {'the same' if mutant.same else 'something else'}"
    outcome.failures.append(Failure(unit=unit, where=where, problem=problem[:300]))


@cache
def _meaning(name: str, *, asked: bool) -> object:
    """What the specimen itself means, with the caller's question or without."""
    each = specimen(name)
    return each.judge({part: data for part, data in each.parts.items() if asked or part != ASKED})
