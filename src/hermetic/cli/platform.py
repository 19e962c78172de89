"""``hermetic platform``: which TEE this machine has, and its evidence."""

from __future__ import annotations

import dataclasses
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from hermetic.evidence import Composite
    from hermetic.sources.collection import Collection
    from hermetic.sources.platform import Finding, Platform

__all__ = ["platform"]


@click.command()
@click.option(
    "--collect", "output", type=click.Path(path_type=Path, dir_okay=False), help="Collect evidence, and write it there."
)
@click.option("--nonce", help="What the evidence must answer: 32 bytes in hex.  [drawn at random]")
@click.option("--report-data", help="What the platform signs instead: 64 bytes in hex.")
@click.option("--endorse", is_flag=True, help="Staple what the vendors say about it today, from the network.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
def platform(output: Path | None, nonce: str | None, report_data: str | None, endorse: bool, as_json: bool) -> None:
    """Which TEE this machine has, and how it attests.

    It looks for every trusted execution environment that it knows, and says how evidence is collected from it and who
    can have it made.  With --collect it asks the platform and every confidential GPU, and writes one document.

    \b
    Examples:
      hermetic platform
      hermetic platform --collect evidence.json --nonce 4c…
    """
    from hermetic.sources.platform import detect

    if output is None and (nonce or report_data or endorse):
        raise Misconfigured("--nonce, --report-data and --endorse are about evidence: give --collect OUT too")
    found = detect()
    if output is None:
        _echo(_findings(found)) if as_json else _show(found)
        return
    collected = _collect(found, nonce, report_data)
    _save(output, collected.evidence, endorse=endorse)
    told = {"simulated": found.simulated, **_told(collected, output, endorse=endorse)}
    _echo(told) if as_json else _show_collected(told)


def _collect(found: Platform, nonce: str | None, report_data: str | None) -> Collection:
    from hermetic.sources.collection import collect

    return collect(
        found,
        nonce=secrets.token_bytes(32) if nonce is None else _unhex(nonce, "--nonce", 32),
        report_data=None if report_data is None else _unhex(report_data, "--report-data", 64),
    )


def _save(output: Path, evidence: Composite, *, endorse: bool) -> None:
    from hermetic.cli._files import save_file

    if endorse:
        from hermetic.cli._evidence_files import Gathered, complete, endorser
        from hermetic.cli._evidence_judge import time_of

        with endorser(None, offline=False) as vendors:
            gathered, _ = complete(Gathered(evidence=evidence), vendors, time_of(None))
        save_file(output, gathered.to_bytes())
    else:
        save_file(output, evidence.to_bytes())


def _told(collected: Collection, output: Path, *, endorse: bool) -> dict[str, Any]:
    """What a program, or a person, is told about a collection."""
    interface, bundle = collected.interface, collected.evidence.platform
    devices = len(collected.evidence.devices)
    verify = ["hermetic", "evidence", "verify", str(output)]
    verify += ["--nonce", collected.nonce.hex()] if devices else []
    # With devices, the verifier makes the report data of the nonce itself, unless they are the asker's own.
    told = devices and collected.together
    verify += ["--report-data", collected.report_data.hex()] if bundle is not None and not told else []
    return {
        "saved": str(output),
        "platform": None
        if bundle is None or interface is None
        else {
            "tee": bundle.tee,
            "interface": interface.name,
            "askers": interface.askers,
            "event_logs": list(bundle.event_logs),
            "report_data": collected.report_data.hex(),
        },
        "devices": devices,
        "nonce": collected.nonce.hex(),
        "left_out": list(collected.left_out),
        "endorsed": endorse,
        "verify": verify,
    }


def _show_collected(told: dict[str, Any]) -> None:
    from hermetic.cli._show import console

    out = console()
    if told["simulated"]:
        out.print("[black on yellow] SIMULATED [/] no hardware stands behind this evidence")
    lines = [f"saved to {told['saved']}"]
    if told["platform"] is not None:
        lines += [f"  platform  {told['platform']['tee']}, through {told['platform']['interface']}"]
        lines += [f"            it signs for {told['platform']['askers']}"]
    if told["devices"]:
        lines += [f"  devices   {told['devices']}"]
    lines += [f"  nonce     {told['nonce']}"]
    lines += [f"  left out  {sentence}" for sentence in told["left_out"]]
    lines += [
        "Nothing in it has been verified.  Next, where you decide what to trust:",
        f"  {' '.join(told['verify'])}",
    ]
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def _findings(found: Platform) -> dict[str, Any]:
    return {
        "used": found.used.name if found.used else None,
        "summary": found.summary,
        "findings": [dataclasses.asdict(finding) for finding in found.findings],
    }


def _echo(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


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
        return
    lines = [f"Who can have evidence made here over data of their choice: {found.used.askers}."]
    lines += ["Collect it with:  hermetic platform --collect evidence.json"]
    if not found.simulated:
        lines += ["Workloads cannot be launched on hardware by this version yet: that needs an agent in a measured"]
        lines += ["image, which checks the launch document before it executes."]
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def _collection(found: Platform, finding: Finding) -> str:
    if finding.collector is None:
        return "[yellow]not implemented yet[/]"
    used = finding is found.used or finding in found.devices
    return "[green]yes, and used here[/]" if used else "yes"


def _unhex(text: str, option: str, length: int) -> bytes:
    from hermetic.wire import unhex

    try:
        return unhex(text.lower(), what=option, length=length)
    except Malformed as error:
        raise Misconfigured(error.message) from error
