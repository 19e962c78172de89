"""``hermetic simulator``: a TEE in software, for machines that have none.  Everything it shows says SIMULATED."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from hermetic.guest.launch import LaunchPlan
    from hermetic.sources.simulator.amd import SimulatedAmd

__all__ = ["simulator"]

_state = click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="Folder of the simulator's keys."
)


@click.group()
def simulator() -> None:
    """Launch a workload on a simulated TEE.

    A TEE in software: it launches what it measures, and attests it in the real formats.  It proves the chain and keeps
    no secret: whoever can read this user's files or memory can read the workload's, and can issue any simulated
    evidence.  Relying parties must allow it twice: --allow-simulated, and a pin of its root.

    \b
    Examples:
      hermetic simulator run -- hermetic serve --config server.toml
      hermetic simulator root
    """


@simulator.command(
    short_help="Launch a workload, and attest it while it runs.", context_settings={"ignore_unknown_options": True}
)
@_state
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Folder of the program copies.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def run(state: Path | None, store: Path | None, command: tuple[str, ...]) -> int:
    """Launch a workload: hash it, copy it, hash the copy, execute the copy, and attest it while it runs.

    The exit code is the workload's.  Signals are passed on.

    \b
    Example:
      hermetic simulator run -- hermetic serve --config server.toml
    """
    from hermetic.guest.launch import plan_launch, split_command
    from hermetic.guest.program import default_store
    from hermetic.guest.simulated import SimulatedPlatform

    config, arguments = split_command(command)
    vendor = _open(state)
    plan = plan_launch(config, arguments=arguments)
    _say_simulated(vendor, plan)
    platform = SimulatedPlatform(vendor=vendor, store=store or default_store())
    return platform.launch(plan).attend()


@simulator.command(short_help="Print what a policy pins to accept this simulator.")
@_state
@click.option("--json", "as_json", is_flag=True, help="Root, product and measurement as JSON.")
def root(state: Path | None, as_json: bool) -> None:
    """Print what a policy pins to accept this simulator, making its keys the first time.

    \b
    Examples:
      hermetic simulator root
      hermetic policy new --launch launch.json --simulated-root "$(hermetic simulator root)" …
    """
    from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT

    vendor = _open(state)
    if as_json:
        values = {
            "simulated_root": vendor.root_digest,
            "product": str(vendor.product),
            "measurement": SIMULATED_MEASUREMENT.hex(),
        }
        click.echo(json.dumps(values, indent=2))
    else:
        click.echo(vendor.root_digest)


@simulator.command()
@_state
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Folder of the program copies.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(state: Path | None, store: Path | None, yes: bool) -> None:
    """Throw the simulator's keys and its program copies away.

    A new root is made at the next launch; every policy that pins the old one refuses it.

    \b
    Example:
      hermetic simulator reset
    """
    from hermetic.guest.program import default_store, remove_copies
    from hermetic.sources.simulator.state import default_state, reset_state

    folder = state or default_state()
    if not yes:
        click.confirm(f"Remove the simulated root in {folder}? Policies that pin it will refuse", abort=True)
    keys = reset_state(folder)
    copies = remove_copies(store or default_store())
    click.echo(f"removed {len(keys)} simulated vendors and {copies} program copies")


def _open(state: Path | None) -> SimulatedAmd:
    from hermetic.sources.simulator.state import default_state, open_vendor

    return open_vendor(state or default_state(), now=datetime.now(UTC))


def _say_simulated(vendor: SimulatedAmd, plan: LaunchPlan) -> None:
    click.secho(" SIMULATED ", fg="black", bg="yellow", err=True, nl=False)
    click.echo(" AMD SEV-SNP in software: it proves the chain, not secrecy from this machine", err=True)
    click.echo(f"  simulated root {vendor.root_digest}", err=True)
    click.echo(f"  program        {plan.document.program_digest}", err=True)
    click.echo(f"  launch         {plan.document.digest}", err=True)
