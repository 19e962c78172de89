"""The whole campaign on all cores, with a bar, and the summary that is kept in the repository."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from proof import ROOT
from proof.mutants.campaign import Failure, Outcome, Unit, run_unit, units
from proof.specimens import all_specimens, kind_of, specimen

RESULTS = ROOT / "proof" / "results" / "mutants.json"
_SHOWN = 20


def run(*, tees: Sequence[str], kinds: Sequence[str], every: int, jobs: int, output: Path | None) -> int:
    """Runs it, prints what became of it, and writes the summary to ``output``.  The exit code: 1 if any failed."""
    console = Console()
    all_specimens()  # before the workers fork, so that they share one set
    work, started = list(units(tees=tees, kinds=kinds, every=every)), time.monotonic()
    outcomes = list(_all(work, jobs, console))
    seconds = time.monotonic() - started
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    summary = summarise(outcomes) | {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
        "every": every,
        "seconds": round(seconds),
        "jobs": jobs,
    }
    _print(console, summary, failures)
    if output is not None and not failures:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        console.print(f"written: {output}")
    return 1 if failures else 0


def _all(work: list[Unit], jobs: int, console: Console) -> Iterable[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    made, failed = 0, 0
    with (
        multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=200) as pool,
        Progress(*columns, TimeRemainingColumn(), console=console) as bar,
    ):
        task = bar.add_task("mutants", total=len(work))
        for outcome in pool.imap_unordered(run_unit, work):
            made, failed = made + outcome.made, failed + len(outcome.failures)
            bar.update(task, advance=1, description=f"{made:,} mutants, {failed} not refused as they should be")
            yield outcome


def summarise(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Counts: in all; by TEE and specimen and kind; by TEE, which check refused how many; by TEE, what was listed."""
    made: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    parts: dict[str, Counter[str]] = defaultdict(Counter)
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    listed: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        tee = specimen(outcome.unit.specimen).tee
        made[tee][outcome.unit.specimen][outcome.unit.kind] += outcome.made
        parts[tee][kind_of(outcome.unit.part)] += outcome.made
        refused[tee].update(outcome.refused)
        listed[tee].update(outcome.listed)
    return {
        "total": sum(kinds.total() for specimens in made.values() for kinds in specimens.values()),
        "made": {tee: {name: dict(kinds) for name, kinds in each.items()} for tee, each in made.items()},
        "parts": {tee: dict(counts) for tee, counts in parts.items()},
        "refused": {tee: dict(counts) for tee, counts in refused.items()},
        "listed": {tee: dict(counts) for tee, counts in listed.items()},
    }


def commit() -> str:
    """The commit that was tested, and whether the source differed from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _print(console: Console, summary: dict[str, Any], failures: list[Failure]) -> None:
    for tee, specimens in summary["made"].items():
        count = sum(sum(kinds.values()) for kinds in specimens.values())
        said = sum(summary["listed"][tee].values())
        console.print(f"  {tee:20} {len(specimens):3} specimens {count:10,} mutants, {said:,} accepted as listed")
    for failure in failures[:_SHOWN]:
        where = f"{failure.unit.specimen}, {failure.unit.part}, {failure.unit.kind}: {failure.where}"
        console.print(
            f"[red]not refused as it should be[/red] {where}: {failure.problem}", soft_wrap=True, highlight=False
        )
    if len(failures) > _SHOWN:
        console.print(f"… and {len(failures) - _SHOWN} more")
    console.print(
        f"{summary['total']:,} mutants in {summary['seconds']} s: {len(failures)} not refused as they should be"
    )


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
