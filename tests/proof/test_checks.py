"""A fixed sample of `make check-checks`: one check of each package; and that the machinery itself is honest."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from proof.checks.find import Deletion, answers_of, find
from proof.checks.run import DEFAULT, deletions_of, equivalent

from proof import ROOT
from vectors import needs_vectors

SAMPLE = {
    "hermetic.verify.snp:_check_signing_key: raise": "tests/verify/test_snp_twins.py",
    "hermetic.verify.chain:require_valid: raise": "tests/verify/test_snp_twins.py",
    "hermetic.evidence.snp:SnpReport.from_bytes: raise": "tests/evidence/test_snp_report.py",
    "hermetic.identity.report:verify_report: call": "tests/identity/test_report.py",
    "hermetic.policy.appraise:review: returned": "tests/policy/test_appraise.py",
}
"""Beginning of the name of a deletion → tests that notice it.  `make check-checks` finds the tests by itself."""

_TRIAL = """
import sys
from proof.checks import trial
from proof.checks.run import deletions_of
package, name, *tests = sys.argv[1:]
deletion = next(each for each in deletions_of(package) if each.name.startswith(name))
trial.prepare()
arguments = ("-q", "-p", "no:cacheprovider", "--noconftest")
print(trial.attempt(trial.Trial(deletion=deletion, tests=tuple(tests), arguments=arguments)))
"""


def attempt(name: str, *tests: str) -> str:
    """In a process in which nothing of Hermetic is imported yet."""
    command = [sys.executable, "-c", _TRIAL, name.partition(":")[0], name, *tests]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return done.stdout.strip().splitlines()[-1]


@needs_vectors
@pytest.mark.parametrize("name", SAMPLE)
def test_a_deleted_check_is_noticed(name: str) -> None:
    assert attempt(name, SAMPLE[name]) == "noticed"


def test_a_check_that_no_test_minds_survives() -> None:
    name = "hermetic.verify.snp:_check_signing_key: raise"
    assert attempt(name, "tests/wire/test_wire.py") == "SURVIVED"
    assert attempt(name) == "no test"


def test_the_written_list_is_not_stale() -> None:
    """Each entry names a deletion that there is; whether it changes nothing, `make check-checks` says."""
    named = {each.name for package in DEFAULT for each in deletions_of(package)}
    ours = {name for name in equivalent() if name.startswith(DEFAULT)}
    assert ours - named == set()
    assert all(equivalent().values())


def test_every_deletion_has_its_own_name() -> None:
    for package in DEFAULT:
        names = [each.name for each in deletions_of(package)]
        assert len(set(names)) == len(names)
        assert names, package


SOURCE = """
    from typing import Annotated
    from msgspec import Meta, Struct

    Small = Annotated[int, Meta(ge=0, le=9)]

    class Table(Struct, forbid_unknown_fields=True):
        size: Small

    def _check(name: str, good: bool) -> Check:
        return Check(name, good)

    def review(value: int, low: int, high: int) -> tuple[Check, ...]:
        if value is None or not (low <= value <= high):
            raise Malformed("no")
        require_even(value)
        return (_check("a", value > 1 and value < 8), *more(value))

    def more(value: int) -> Iterator[Check]:
        yield _check("b", value != 3)
"""


def found(tmp_path: Path) -> list[Deletion]:
    path = tmp_path / "made.py"
    path.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    return find("made", path, answers_of([path]))


def test_what_is_found(tmp_path: Path) -> None:
    assert [(each.kind, each.text) for each in found(tmp_path)] == [
        ("constraint ge", "Meta(ge=0, le=9)"),
        ("constraint le", "Meta(ge=0, le=9)"),
        ("strict", "True"),
        ("operand", "value is None"),
        ("operand", "not low <= value <= high"),
        ("last bound", "low <= value <= high"),
        ("first bound", "low <= value <= high"),
        ("raise", "raise Malformed('no')"),
        ("call", "require_even(value)"),
        ("returned", "_check('a', value > 1 and value < 8)"),
        ("returned", "*more(value)"),
        ("good", "value > 1 and value < 8"),
        ("operand", "value > 1"),
        ("operand", "value < 8"),
        ("yield", "yield _check('b', value != 3)"),
        ("good", "value != 3"),
    ]


def test_each_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    codes = {each.name: each.compiled() for each in found(tmp_path)}
    assert len({code.co_consts for code in codes.values()} | {code.co_code for code in codes.values()}) > 1
    assert len(codes) == 16
