"""Genuine evidence, taken apart: what mutants are made of.

A specimen is a set of named byte strings (a report, each of its certificates, its lists, the question it answers, the
time) and the verifier that judges them.  Each one verifies as it stands; that is what makes a changed one a mutant.
"""

from __future__ import annotations

from functools import cache

from proof.specimens import intel, nvidia, platforms, snp
from proof.specimens._specimen import ASKED, AT, Parts, Specimen, kind_of, timed

__all__ = ["ASKED", "AT", "Parts", "Specimen", "all_specimens", "kind_of", "specimen", "timed"]


@cache
def all_specimens() -> tuple[Specimen, ...]:
    """Every specimen, always in the same order.  Needs the shared vectors."""
    return (
        *snp.recorded(),
        *snp.simulated(),
        *intel.recorded(),
        *intel.simulated(),
        *nvidia.recorded(),
        *nvidia.simulated(),
        *nvidia.manifests(),
        *platforms.simulated(),
    )


@cache
def _by_name() -> dict[str, Specimen]:
    return {each.name: each for each in all_specimens()}


def specimen(name: str) -> Specimen:
    return _by_name()[name]
