"""A fixed sample of `make fuzz`: the same few inputs for every parser."""

from __future__ import annotations

import pytest
from proof.fuzz.noise import inputs
from proof.fuzz.run import feed
from proof.fuzz.targets import TARGETS, Target

from hermetic.errors import Malformed
from vectors import needs_vectors

pytestmark = needs_vectors
INPUTS = 150


@pytest.mark.parametrize("name", TARGETS)
def test_only_typed_refusals(name: str) -> None:
    found = feed(TARGETS[name], 60.0, seed=1, most=INPUTS)
    assert found.kept == []
    assert found.accepted > 0, "not one of its own seeds is read"


def test_noise_repeats_itself() -> None:
    first, again = (inputs((b"seed", b"another"), 7) for _ in range(2))
    assert [next(first) for _ in range(200)] == [next(again) for _ in range(200)]


def test_what_goes_wrong_is_noticed(tmp_path: object) -> None:
    """Both an error that is not ours and one that is."""

    def parse(data: bytes) -> object:
        if b"!" in data:
            raise KeyError(data)
        raise Malformed("no")

    found = feed(Target(name="broken", parse=parse, seeds=lambda: [b"fine", b"not fine!"]), 60.0, seed=0, most=2)
    assert [problem.partition(" at ")[0] for _, problem in found.kept] == ["KeyError"]
    for path, _ in found.kept:
        path.unlink()
        path.parent.rmdir()
