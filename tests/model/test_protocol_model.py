"""The full protocol holds; and whatever it binds, it binds because leaving that out lets an attack in."""

from __future__ import annotations

from dataclasses import fields

import pytest

from model import report
from model.properties import (
    FILE_KEY_SECRECY,
    FULL,
    FURTHER,
    PROPERTIES,
    RELEASE_AGREEMENT,
    SESSION_AGREEMENT,
    WEAKENED,
)
from model.protocol import Rules
from model.search import search

VARIANTS = WEAKENED | FURTHER


def test_the_full_protocol_holds_in_every_reachable_state() -> None:
    result = report.result()
    assert result.attack is None
    assert result.states > 20_000


def test_the_search_reaches_the_honest_runs() -> None:
    """Non-vacuity: every kind of step happens, and one run ends with everybody served and both TEEs keyed."""
    result = report.result()
    assert set(result.actions) == {
        "ask", "seal", "finish", "challenge", "release", "request", "install", "handle",
    }  # fmt: skip
    assert result.honest_run is not None
    assert len(result.honest_run) == 16  # two sessions of four steps, two releases of four


@pytest.mark.parametrize("name", VARIANTS)
def test_each_weakened_protocol_falls_to_the_attack_we_expect(name: str) -> None:
    attack = report.result(name).attack
    assert attack is not None
    assert attack.violation.property == VARIANTS[name].breaks
    assert attack.trace


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("no nonce", RELEASE_AGREEMENT),
        ("no key binding", FILE_KEY_SECRECY),
        ("no key binding", SESSION_AGREEMENT),
        ("no launch digest", FILE_KEY_SECRECY),
        ("leaked chip accepted", FILE_KEY_SECRECY),
        ("image not pinned", FILE_KEY_SECRECY),
        ("reused challenge", RELEASE_AGREEMENT),
    ],
)
def test_the_same_gap_also_costs(name: str, broken: str) -> None:
    """The shortest attack is on a session; the release falls to the same gap."""
    attack = search(VARIANTS[name].rules, only=broken).attack
    assert attack is not None
    assert attack.violation.property == broken


def test_every_property_can_fail() -> None:
    assert {variant.breaks for variant in VARIANTS.values()} == set(PROPERTIES)


def test_the_variants_are_the_single_switches() -> None:
    """Each variant is the full protocol less one rule, and no rule is without its variant."""
    off = [
        [field.name for field in fields(Rules) if not getattr(variant.rules, field.name)]
        for variant in VARIANTS.values()
    ]
    assert off == [[field.name] for field in fields(Rules)]
    assert all(getattr(FULL, field.name) for field in fields(Rules))


def test_the_document_says_what_the_search_found() -> None:
    """After a change of the model: PYTHONPATH=tests python -m model.report --write"""
    assert report.kept() == report.render()
