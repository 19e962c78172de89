"""``hermetic simulator``: a TEE in software, for machines that have none.  Everything it shows says SIMULATED."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hermetic.cli._machine import machine_options, tee_option

if TYPE_CHECKING:
    from hermetic.guest.launch import LaunchPlan
    from hermetic.sources.simulator.machine import SimulatedMachine

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
@machine_options
@_state
@click.option("--store", type=click.Path(path_type=Path, file_okay=False), help="Folder of the program copies.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, required=True)
def run(tee: str, gpus: int, switches: int, state: Path | None, store: Path | None, command: tuple[str, ...]) -> int:
    """Launch a workload: hash it, copy it, hash the copy, execute the copy, and attest it while it runs.

    The exit code is the workload's.  Signals are passed on.

    \b
    Examples:
      hermetic simulator run -- hermetic serve --config server.toml
      hermetic simulator run --tee tdx --gpus 8 --switches 4 -- hermetic serve --config server.toml
    """
    from hermetic.guest.launch import plan_launch, split_command
    from hermetic.guest.program import default_store
    from hermetic.guest.simulated import SimulatedPlatform

    config, arguments = split_command(command)
    machine = _open(state, tee, gpus, switches)
    plan = plan_launch(config, arguments=arguments)
    _say_simulated(machine, plan)
    platform = SimulatedPlatform(machine=machine, store=store or default_store())
    return platform.launch(plan).attend()


@simulator.command(short_help="Print what a policy pins to accept this simulator.")
@tee_option
@_state
@click.option("--devices", is_flag=True, help="The roots of GPUs and switches, and of their manifests, instead.")
@click.option("--json", "as_json", is_flag=True, help="All roots, and what the TEE measures, as JSON.")
def root(tee: str, state: Path | None, devices: bool, as_json: bool) -> None:
    """Print what a policy pins to accept this simulator, making its keys the first time.

    \b
    Examples:
      hermetic simulator root
      hermetic simulator root --tee tdx --json
      hermetic simulator root --devices
      hermetic policy new --launch launch.json --simulated-root "$(hermetic simulator root)" …
    """
    machine = _open(state, tee, gpus=1 if devices or as_json else 0)
    pinned = (
        {}
        if machine.nvidia is None
        else {
            "simulated_device_root": machine.nvidia.device_root_digest,
            "simulated_manifest_root": machine.nvidia.manifest_root_digest,
        }
    )
    if as_json:
        click.echo(json.dumps({"simulated_root": machine.root_digest, **pinned, **_measured(machine)}, indent=2))
    elif devices:
        click.echo("\n".join(f"{name} = {json.dumps(digest)}" for name, digest in pinned.items()))
    else:
        click.echo(machine.root_digest)


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


def _open(state: Path | None, tee: str, gpus: int = 0, switches: int = 0) -> SimulatedMachine:
    from hermetic.cli._machine import tee_of
    from hermetic.sources.simulator.state import default_state, open_machine

    folder = state or default_state()
    return open_machine(folder, now=datetime.now(UTC), tee=tee_of(tee), gpus=gpus, switches=switches)


def _measured(machine: SimulatedMachine) -> dict[str, Any]:
    """What a policy pins besides the root: the product, or what was measured of the guest or enclave."""
    from hermetic.evidence import SGX, TDX
    from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
    from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE, SIMULATED_ENCLAVE_SIGNER
    from hermetic.sources.simulator.tdx_platform import SIMULATED_TD_MEASUREMENT, SIMULATED_TDX_MODULE

    if isinstance(machine.cpu, SimulatedAmd):
        return {"product": str(machine.cpu.product), "measurement": SIMULATED_MEASUREMENT.hex()}
    of_intel = {
        TDX: {"mr_td": SIMULATED_TD_MEASUREMENT.hex(), "mr_seam": SIMULATED_TDX_MODULE.hex()},
        SGX: {"mr_enclave": SIMULATED_ENCLAVE.hex(), "mr_signer": SIMULATED_ENCLAVE_SIGNER.hex()},
    }
    return {**of_intel[machine.tee], "ppid": machine.cpu.ppid.hex()}


def _say_simulated(machine: SimulatedMachine, plan: LaunchPlan) -> None:
    click.secho(" SIMULATED ", fg="black", bg="yellow", err=True, nl=False)
    click.echo(f" {machine.summary} in software: it proves the chain, not secrecy from this machine", err=True)
    click.echo(f"  simulated root {machine.root_digest}", err=True)
    if machine.nvidia is not None:
        click.echo(f"  device root    {machine.nvidia.device_root_digest}", err=True)
        click.echo(f"  manifest root  {machine.nvidia.manifest_root_digest}", err=True)
    click.echo(f"  program        {plan.document.program_digest}", err=True)
    click.echo(f"  launch         {plan.document.digest}", err=True)
