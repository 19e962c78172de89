"""Deletes all of them in turn, remembers what was noticed, and reports what was not."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from proof import ROOT, STATE
from proof.checks import lines, trial
from proof.checks.find import Deletion, answers_of, find
from proof.checks.trial import Trial, Verdict

PACKAGES: dict[str, tuple[str, ...]] = {
    "hermetic.wire": ("tests/wire", "tests/evidence", "tests/identity"),
    "hermetic.evidence": ("tests/evidence", "tests/verify", "tests/identity", "tests/policy"),
    "hermetic.verify": ("tests/verify", "tests/policy", "tests/identity"),
    "hermetic.identity": ("tests/identity", "tests/policy"),
    "hermetic.policy": ("tests/policy", "tests/identity", "tests/verify"),
    "hermetic.results": ("tests/results",),
    "hermetic.release": ("tests/release", "tests/broker"),
    "hermetic.ledger": ("tests/ledger",),
    "hermetic.channel": ("tests/channel",),
    "hermetic.seal": ("tests/seal",),
    "hermetic.sources.collateral": ("tests/sources",),
    "hermetic.sources.platform": ("tests/sources",),
}
"""What is deleted from, and the folders of tests that have to notice.  The first is the package's own."""

DEFAULT = ("hermetic.evidence", "hermetic.verify", "hermetic.identity", "hermetic.policy", "hermetic.results")
EQUIVALENT = Path(__file__).with_name("equivalent.toml")
_FOUND = STATE / "checks.jsonl"


def run(options: argparse.Namespace) -> int:
    """The exit code: 1 where a deletion survived that the written list does not explain, or the list is stale."""
    console = Console()
    chosen = tuple(options.package) or DEFAULT
    deletions = [deletion for package in chosen for deletion in deletions_of(package)][:: options.every]
    if options.list:
        for deletion in deletions:
            console.print(f"{_place(deletion)}  {deletion.name}", soft_wrap=True, highlight=False, markup=False)
        console.print(f"{len(deletions)} checks to delete")
        return 0
    explained = equivalent()
    remembered = {} if options.fresh else _remembered()
    todo = [d for d in deletions if remembered.get(_key(d)) not in ("noticed", "hung")]
    verdicts = {d.name: remembered[_key(d)] for d in deletions if _key(d) in remembered}
    console.print(f"{len(deletions)} checks, of which {len(deletions) - len(todo)} were noticed before")
    for deletion, verdict in _attempts(todo, options.jobs or multiprocessing.cpu_count(), console):
        verdicts[deletion.name] = verdict
        _remember(deletion, verdict)
    return _report(console, deletions, verdicts, explained, whole=options.every == 1)


def deletions_of(package: str) -> list[Deletion]:
    """Every deletion in ``package``, which may also be one module."""
    source = ROOT / "src"
    place = source / Path(*package.split("."))
    paths = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    top = source / Path(*package.split(".")[:2])
    answers = answers_of(sorted(top.rglob("*.py")))
    return [deletion for path in paths if path.exists() for deletion in find(_module(path), path, answers)]


def trial_of(deletion: Deletion) -> Trial:
    """The tests that execute what is deleted, quickest first; where it is executed at import, those of its package."""
    package = max((name for name in PACKAGES if deletion.module.startswith(name)), key=len)
    folders = [folder for folder in PACKAGES[package] if (ROOT / folder).is_dir()]
    if not deletion.lines:
        folders = folders[:1]
    tests: list[tuple[str, float]] = []
    for folder in folders:
        tests += lines.record(package, folder).covering(deletion.path, deletion.lines)
    plain = all("--noconftest" in lines.arguments(folder) for folder in folders)
    arguments = [each for each in lines.arguments(folders[0]) if plain or each != "--noconftest"]
    return Trial(deletion=deletion, tests=tuple(name for name, _ in tests), arguments=tuple(arguments))


def _attempts(todo: Sequence[Deletion], jobs: int, console: Console) -> Iterator[tuple[Deletion, Verdict]]:
    trials = []
    for deletion in todo:
        trials.append(trial_of(deletion))
    context, started = multiprocessing.get_context("spawn"), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        context.Pool(min(jobs, max(1, len(trials))), initializer=trial.prepare) as pool,
        Progress(*columns, TimeRemainingColumn(), console=console) as bar,
    ):
        task, survived = bar.add_task("deleting", total=len(trials)), 0
        for number, verdict in pool.imap_unordered(_attempt, list(enumerate(trials))):
            survived += verdict in ("SURVIVED", "no test")
            bar.update(task, advance=1, description=f"{survived} not noticed")
            yield todo[number], verdict
    if trials:
        each = (time.monotonic() - started) / len(trials)
        console.print(f"{len(trials)} deletions, {each:.2f} s each")


def _attempt(numbered: tuple[int, Trial]) -> tuple[int, Verdict]:
    number, made = numbered
    return number, trial.attempt(made)


def _report(
    console: Console, deletions: list[Deletion], verdicts: dict[str, Verdict], explained: dict[str, str], *, whole: bool
) -> int:
    known = {deletion.name for deletion in deletions}
    modules = {deletion.module for deletion in deletions}
    survivors = [d for d in deletions if verdicts[d.name] in ("SURVIVED", "no test")]
    unexplained = [d for d in survivors if d.name not in explained]
    stale = [
        name
        for name in explained
        if name.partition(":")[0] in modules and whole and (name not in known or verdicts[name] in ("noticed", "hung"))
    ]
    for deletion in unexplained:
        verdict = verdicts[deletion.name]
        console.print(f"{_place(deletion)}  {verdict}  {deletion.name}", soft_wrap=True, highlight=False, markup=False)
    for name in stale:
        console.print(f"stale in {EQUIVALENT.name}: {name}", soft_wrap=True, highlight=False, markup=False)
    counts = Counter(verdicts[deletion.name] for deletion in deletions)
    console.print(
        f"{len(deletions)} checks deleted: {counts['noticed'] + counts['hung']} noticed, "
        f"{len(survivors) - len(unexplained)} change nothing (listed), {len(unexplained)} not noticed"
    )
    return 1 if unexplained or stale else 0


def equivalent() -> dict[str, str]:
    """The written list: name of a deletion → why it changes nothing."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("deletion", [])
    return {entry["name"]: entry["reason"] for entry in entries}


def _remembered() -> dict[str, Verdict]:
    if not _FOUND.exists():
        return {}
    found: list[dict[str, Any]] = [json.loads(line) for line in _FOUND.read_text(encoding="utf-8").splitlines()]
    return {entry["key"]: entry["verdict"] for entry in found}


def _remember(deletion: Deletion, verdict: Verdict) -> None:
    _FOUND.parent.mkdir(exist_ok=True)
    with _FOUND.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"key": _key(deletion), "verdict": verdict, "name": deletion.name}) + "\n")


def _key(deletion: Deletion) -> str:
    """A deletion of a module as it stands: whoever changes the module has to prove it anew."""
    source = deletion.path.read_bytes()
    return hashlib.sha256(source + b"\0" + deletion.name.encode()).hexdigest()


def _place(deletion: Deletion) -> str:
    return f"{deletion.path.relative_to(ROOT)}:{deletion.line}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
