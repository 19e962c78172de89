"""How verdicts look in a terminal and in JSON: a list of named checks, never a single word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hermetic.verify import Check, Outcome

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hermetic.identity import Claims

__all__ = ["checks_json", "checks_table", "console", "simulated_banner", "summary"]

_ABOUT = (
    ("binding.", "The question we asked"),
    ("snp.", "The hardware: AMD SEV-SNP"),
    ("launch.", "The workload and its keys"),
    ("keyset.", "The workload and its keys"),
    ("policy.snp.", "Our policy, on the hardware"),
    ("policy.", "Our policy, on the workload"),
    ("receipt.", "The receipt"),
    ("log.", "The log"),
)
_MARK = {
    Outcome.PASS: "[green]✓ pass[/]",
    Outcome.FAIL: "[bold red]✗ FAIL[/]",
    Outcome.NOT_PERFORMED: "[yellow]○ not performed[/]",
}


def console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def checks_table(checks: Sequence[Check], *, verbose: bool = False) -> Table:
    """One row a check, under a heading for what it is about: outcome, what it says, and the evidence behind it.

    The evidence is cut to the line unless ``verbose``; where a check did not pass, what was expected stands before it.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False, expand=True)
    # An outcome is never cut: "not perfor…" must not be what stands beside a check that did not happen.
    marks = [Text.from_markup(_MARK[outcome]) for outcome in {check.outcome for check in checks}]
    table.add_column(no_wrap=True, min_width=max((mark.cell_len for mark in marks), default=0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=1, style="dim", overflow="fold" if verbose else "ellipsis", no_wrap=not verbose)
    heading = ""
    for check in checks:
        if (about := _about(check)) != heading:
            heading = about
            table.add_row("", Text(heading, style="bold"), "")
        evidence = check.got if check.outcome is Outcome.PASS else f"expected {check.expected}; got {check.got}"
        table.add_row(_MARK[check.outcome], Text(check.title), Text(evidence))
    return table


def _about(check: Check) -> str:
    return next((title for prefix, title in _ABOUT if check.name.startswith(prefix)), "Other")


def checks_json(checks: Sequence[Check]) -> list[dict[str, Any]]:
    return [
        {
            "name": check.name,
            "title": check.title,
            "outcome": str(check.outcome),
            "expected": check.expected,
            "got": check.got,
            "section": check.section,
        }
        for check in checks
    ]


def summary(checks: Sequence[Check]) -> str:
    counts = {outcome: sum(check.outcome is outcome for check in checks) for outcome in Outcome}
    return (
        f"{counts[Outcome.PASS]} passed, {counts[Outcome.FAIL]} failed, {counts[Outcome.NOT_PERFORMED]} not performed"
    )


def simulated_banner(out: Console, claims: Claims) -> None:
    """Says SIMULATED wherever a simulated platform is shown, from the root that verified and from nothing else."""
    if claims.simulated:
        out.print(
            "[black on yellow] SIMULATED [/] this TEE is software: it proves the chain, not secrecy from its machine",
            soft_wrap=True,
        )
