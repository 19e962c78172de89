"""How recognised evidence and verdicts look in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hermetic.cli._show import checks_table, console, device_of, summary

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hermetic.results import Verdict
    from hermetic.verify import Check

__all__ = ["show_description", "show_verdict"]

_SIMULATED = "[black on yellow] SIMULATED [/] this is software: it proves the chain, not secrecy from its machine"
_UNVERIFIED = "[black on yellow] NOT VERIFIED [/] this is what the file says of itself; nothing here is proven"
_SHORT = 40
"""Characters; a list with longer entries gets a line for each."""
_LONGEST = 20
"""Entries of a list that are shown; ``--json`` has them all."""


def show_description(path: str, described: Mapping[str, Any]) -> None:
    """What a file says, part by part, under a banner that it is not verified."""
    from rich.text import Text

    out = console()
    out.print(Text.assemble((path, "bold"), f": {described['form']}"), soft_wrap=True)
    out.print(_UNVERIFIED, soft_wrap=True)
    for part in described["parts"]:
        out.print()
        out.print(Text(part["what"], style="bold"))
        if part["fields"]:
            out.print(_fields(part["fields"]))
        if part["endorsements"]:
            out.print(Text("  endorsements that came along", style="bold dim"))
            out.print(_fields(part["endorsements"]))


def show_verdict(verdict: Verdict, *, verbose: bool, fixes: list[str]) -> None:
    """Every part with its claims, every check with its outcome, and the verdict in words."""
    from rich.text import Text

    out = console()
    if verdict.simulated:
        out.print(_SIMULATED, soft_wrap=True)
    _claims(out, verdict, verbose=verbose)
    if verdict.checks:
        out.print()
        out.print(checks_table(verdict.checks if verbose else _brief(verdict.checks), verbose=verbose))
    colour = {"accepted": "bold green", "refused": "bold red"}.get(str(verdict.overall), "bold yellow")
    said = Text(f": {summary(verdict.checks)}")
    if verdict.refusal is not None:
        said = Text.assemble((f" [{verdict.refusal.code}] ", "dim"), verdict.refusal.message)
    out.print(Text("\n").append(str(verdict.overall), style=colour).append_text(said), soft_wrap=True)
    for fix in fixes:
        out.print(Text.assemble(("  → ", "cyan"), fix), soft_wrap=True)


def _brief(checks: tuple[Check, ...]) -> list[Check]:
    """One row for all that passed of a device: a machine of eight GPUs has four hundred checks."""
    from hermetic.verify import Check, Outcome

    devices = {check: device_of(check) for check in checks if check.outcome is Outcome.PASS}
    passed = Counter(devices.values())
    shown: list[Check] = []
    for check in checks:
        if (device := devices.get(check)) is None:
            shown.append(check)
        elif count := passed.pop(device, 0):
            title, got = f"{count} checks of this device", "--verbose lists them"
            shown.append(Check(name=check.name, title=title, outcome=check.outcome, expected="", got=got, section=""))
    return shown


_BRIEF = (
    "hwmodel",
    "dbgstat",
    "snp.tcb.reported",
    "snp.measurement",
    "snp.policy",
    "tdx.mrtd",
    "sgx.mrenclave",
    "sgx.mrsigner",
    "intel.tcb.status",
    "intel.tcb.date",
    "intel.tcb.advisories",
    "events.app-id",
    "events.compose-hash",
    "nvidia.driver-version",
    "nvidia.firmware-version",
    "nvidia.mode",
    "measres",
    "ueid",
)


def _claims(out: Console, verdict: Verdict, *, verbose: bool) -> None:
    """The claims that most people look for; with ``verbose`` all of them."""
    from rich.text import Text

    for part in verdict.parts:
        out.print(Text.assemble((part.name, "bold"), f"  {part.kind}", "" if part.authentic else "  not authentic"))
        shown = {
            claim.name: f"{_value(claim.value)}  ({claim.source})"
            for claim in part.claims
            if verbose or claim.name in _BRIEF
        }
        if shown:
            out.print(_fields(shown))
    if verdict.workload:
        out.print(Text("workload", style="bold"))
        out.print(_fields({claim.name.removeprefix("hermetic."): claim.value for claim in verdict.workload}))


def _fields(fields: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in _rows(fields):
        table.add_row(Text(name), Text(value))
    return table


def _rows(fields: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name}", ""
            yield from _rows(value, indent + "  ")
        elif isinstance(value, list | tuple) and any(len(str(each)) > _SHORT for each in value):
            for number, each in enumerate(value[:_LONGEST]):
                yield "" if number else f"{indent}{name}", str(each)
            if len(value) > _LONGEST:
                yield "", f"… and {len(value) - _LONGEST} more"
        else:
            yield f"{indent}{name}", _value(value)


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        more = f" … and {len(value) - _LONGEST} more" if len(value) > _LONGEST else ""
        return (", ".join(map(str, value[:_LONGEST])) or "none") + more
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    # Rows of zeros say that a field is not in use, and are easily taken for one that is.
    return "zero" if len(text) >= 32 and not text.strip("0") else text
