"""A fixed sample of `make mutants`: of every kind, of every part, of every specimen."""

from __future__ import annotations

from collections import Counter

import pytest
from proof.mutants.campaign import run_unit, units
from proof.mutants.kinds import KINDS, WORDS
from proof.mutants.malleable import MALLEABLE
from proof.specimens import all_specimens

from vectors import needs_vectors

pytestmark = needs_vectors
EVERY = 1200


def test_every_specimen_verifies_as_it_stands() -> None:
    """Or its mutants would be refused for another reason."""
    for each in all_specimens():
        each.judge(each.parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_each_kind(kind: str) -> None:
    """Cheap kinds whole or nearly; of bits and the like one in twelve hundred."""
    every = EVERY if kind in ("bit", "truncation", "field", "xml", "der") else EVERY // 20
    outcomes = [run_unit(unit) for unit in units(kinds=[kind], every=every)]
    problems = [(each.unit, each.where, each.problem) for outcome in outcomes for each in outcome.failures]
    assert problems == []
    assert sum(outcome.made for outcome in outcomes) > 0
    assert sum((outcome.refused for outcome in outcomes), Counter()).total() > 0 or kind in ("twin", "removal")


def test_everything_has_words() -> None:
    assert KINDS.keys() == WORDS.keys()
    assert len({entry.name for entry in MALLEABLE}) == len(MALLEABLE)
    assert all(entry.reason for entry in MALLEABLE)
