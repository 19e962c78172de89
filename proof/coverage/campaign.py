"""The part of docs/coverage.md that is about the last run of `make mutants`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from proof.mutants.kinds import WORDS
from proof.mutants.malleable import as_rows


def mutants_page(mutants: Mapping[str, Any]) -> str:
    """How many of each kind and TEE, and how many of those the malleability list covers."""
    tees = list(mutants["made"])
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for tee, specimens in mutants["made"].items():
        for kinds in specimens.values():
            for kind, count in kinds.items():
                counts[tee][kind] += count
    head, bar = " | ".join(tees), "|".join("---" for _ in tees)
    rows = [_row(words, [counts[tee][kind] for tee in tees]) for kind, words in WORDS.items()]
    listed = mutants["listed"]
    covered = [f"{_row(name, [listed[tee].get(name, 0) for tee in tees])} {why} |" for name, why in as_rows()]
    sample = "" if mutants["every"] == 1 else f", a fixed sample: one of {mutants['every']}"
    minutes = f"{mutants['seconds'] / 60:.0f} minutes in {mutants['jobs']} processes"
    run = f"{mutants['date']} at `{mutants['commit']}`, {minutes}{sample}"
    return "\n".join(
        (
            "## Mutants\n",
            f"{mutants['total']:,} ({run}). Every one was refused with a typed refusal, or the list below covers it.\n",
            f"| Change | {head} |\n|---|{bar}|",
            *rows,
            _row("**all**", [counts[tee].total() for tee in tees]),
            "\n## What may differ and still be accepted\n",
            "The written malleability list (`proof/mutants/malleable.py`), with how many mutants each entry covers.\n",
            f"| Entry | {head} | Why it is so |\n|---|{bar}|---|",
            *covered,
            "",
        )
    )


def _row(name: str, counts: list[int]) -> str:
    return f"| {name} | {' | '.join(f'{count:,}' for count in counts)} |"
