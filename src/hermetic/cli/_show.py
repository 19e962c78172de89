"""How verdicts look in a terminal and in JSON: a list of named checks, never a single word."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hermetic.cli._visible import visible
from hermetic.verify import Check, Outcome

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from hermetic.errors import Refused

__all__ = [
    "advice",
    "checks_table",
    "console",
    "device_of",
    "own_name",
    "show_conclusion",
    "simulated_banner",
    "summary",
]

_ABOUT = (
    ("binding.", "The question we asked"),
    ("snp.", "The hardware: AMD SEV-SNP"),
    ("tdx.", "The hardware: Intel TDX"),
    ("sgx.", "The hardware: Intel SGX"),
    ("dcap.", "The hardware: Intel's platform"),
    ("nvidia.", "The device: NVIDIA"),
    ("machine.", "The devices together"),
    ("launch.", "The workload and its keys"),
    ("keyset.", "The workload and its keys"),
    ("policy.snp.", "Our policy, on the hardware"),
    ("policy.tdx.", "Our policy, on the hardware"),
    ("policy.sgx.", "Our policy, on the hardware"),
    ("policy.tee", "Our policy, on the hardware"),
    ("policy.simulation", "Our policy, on the hardware"),
    ("policy.release", "Our policy, on the hardware"),
    ("policy.nvidia.", "Our policy, on the devices"),
    ("policy.devices", "Our policy, on the devices"),
    ("policy.", "Our policy, on the workload"),
    ("receipt.", "The receipt"),
    ("log.", "The log"),
)
_DEVICE = re.compile(r"((?:gpu|switch|device)[0-9]+)\.")
_MARK = {
    Outcome.PASS: "[green]✓ pass[/]",
    Outcome.FAIL: "[bold red]✗ FAIL[/]",
    Outcome.NOT_PERFORMED: "[yellow]○ not performed[/]",
}
_COLOUR = {"bold green": ("accepted", "proven", "verified"), "bold red": ("refused",)}


def console(*, stderr: bool = False) -> Console:
    from hermetic.cli._terminal import PlainConsole

    return PlainConsole(stderr=stderr, highlight=False)


def own_name() -> str:
    """How to call this command again: by its name where the shell finds that, else as it was called."""
    called = Path(sys.argv[0])
    return "hermetic" if shutil.which("hermetic") or called.name != "hermetic" else str(called)


def checks_table(checks: Sequence[Check], *, verbose: bool = False) -> RenderableType:
    """One row a check, under a heading for what it is about: outcome, what it says, and the evidence behind it.

    The evidence of what passed is cut to the line unless ``verbose``.  Where a check did not pass, what was expected
    stands before it, and nothing is cut.
    """
    return _Checks(checks=tuple(checks), verbose=verbose)


_EVIDENCE = 24
"""Columns that evidence gets beside the titles, where the titles leave them."""
_LEAST = 8
"""With fewer columns left in a line, a beginning of the evidence would say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checks:
    """Laid out for the width at which it is shown."""

    checks: tuple[Check, ...]
    verbose: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.padding import Padding
        from rich.text import Text

        width = options.max_width
        marks = {check.outcome: Text.from_markup(_MARK[check.outcome]) for check in self.checks}
        indent = max((mark.cell_len for mark in marks.values()), default=0) + 2
        titles = min(max((len(check.title) for check in self.checks), default=0), width - indent - _EVIDENCE) + 2
        heading = ""
        for check in self.checks:
            if (about := _about(check)) != heading:
                heading = about
                yield Text(" " * indent + heading, style="bold")
            row = marks[check.outcome].copy()
            row.align("left", indent)
            row.append(check.title)
            row.no_wrap, row.overflow = True, "ellipsis"
            passed = check.outcome is Outcome.PASS
            evidence = visible(check.got if passed else f"expected {check.expected}; got {check.got}")
            behind = Text(" " * max(indent + titles - row.cell_len, 2) + evidence.replace("\n", " "), style="dim")
            left = width - row.cell_len
            fits = "\n" not in evidence and behind.cell_len <= left
            if fits or (passed and not self.verbose and left > _LEAST):
                row.append_text(behind)
            yield row
            if not fits and (self.verbose or not passed):
                below = Text(evidence, style="dim", overflow="fold")
                yield Padding(below, (0, 0, 0, indent), expand=False)


def device_of(check: Check) -> str | None:
    """The name of the device that the check is about alone ("gpu0"), or None."""
    device = _DEVICE.match(check.name)
    return None if device is None else device[1]


def _about(check: Check) -> str:
    if device := device_of(check):
        return f"The device {device}: NVIDIA"
    return next((title for prefix, title in _ABOUT if check.name.startswith(prefix)), "Other")


def summary(checks: Sequence[Check]) -> str:
    counts = {outcome: sum(check.outcome is outcome for check in checks) for outcome in Outcome}
    return (
        f"{counts[Outcome.PASS]} passed, {counts[Outcome.FAIL]} failed, {counts[Outcome.NOT_PERFORMED]} not performed"
    )


def advice(checks: Sequence[Check]) -> list[str]:
    """What to do about the checks that did not pass, each once."""
    return list(dict.fromkeys(check.fix for check in checks if check.fix and check.outcome is not Outcome.PASS))


def show_conclusion(
    out: Console, word: str, checks: Sequence[Check], fixes: Sequence[str], *, refusal: Refused | None = None
) -> None:
    """The verdict in a word, why it was refused or else the count of the checks, and what to do about it."""
    from rich.text import Text

    colour = next((colour for colour, words in _COLOUR.items() if word in words), "bold yellow")
    said = Text(f": {summary(checks)}")
    if refusal is not None:
        said = Text.assemble((f" [{refusal.code}] ", "dim"), visible(refusal.message))
    out.print(Text("\n").append(word, style=colour).append_text(said), soft_wrap=True)
    for fix in fixes:
        out.print(Text.assemble(("  → ", "cyan"), visible(fix)), soft_wrap=True)


class _Labelled(Protocol):
    @property
    def simulated(self) -> bool:
        """Derived from the roots that verified."""


def simulated_banner(out: Console, shown: _Labelled) -> None:
    """Says SIMULATED wherever a simulated platform is shown, from the root that verified and from nothing else."""
    if shown.simulated:
        out.print(
            "[black on yellow] SIMULATED [/] this is software: it proves the chain, not secrecy from its machine",
            soft_wrap=True,
        )
