"""``hermetic platform``: which TEE this machine has, and how evidence would be collected."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hermetic.sources.platform import Finding, Platform

__all__ = ["platform"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def platform(as_json: bool) -> None:
    """Which TEE this machine has, and how it attests.

    It looks for every trusted execution environment that it knows, and says how evidence would be collected from it.

    \b
    Example:
      hermetic platform
    """
    from hermetic.sources.platform import detect

    found = detect()
    if as_json:
        used = found.used.name if found.used else None
        findings = [dataclasses.asdict(finding) for finding in found.findings]
        click.echo(json.dumps({"used": used, "summary": found.summary, "findings": findings}, indent=2))
    else:
        _show(found)


def _show(found: Platform) -> None:
    from rich.table import Table

    from hermetic.cli._show import console

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "evidence of", "interface", "collected by this version"):
        table.add_column(title, no_wrap=True)
    for finding in found.findings:
        mark = "[green]●[/]" if finding.present else "[dim]○[/]"
        table.add_row(mark, finding.tee, finding.name, _collection(found, finding))
    out = console()
    out.print(table)
    out.print(f"\n[bold]{found.summary}[/]")
    if found.used is None:
        out.print("A simulated platform works on any Linux machine, and says that it is one:")
        out.print("  hermetic simulator run -- hermetic serve --config server.toml")
    elif not found.simulated:
        out.print("Evidence can be collected here.  Workloads cannot be launched on hardware by this version yet:")
        out.print("that needs an agent in a measured image, which checks the launch document before it executes.")


def _collection(found: Platform, finding: Finding) -> str:
    if finding.collector is None:
        return "[yellow]not implemented yet[/]"
    return "[green]yes, and used here[/]" if finding is found.used else "yes"
