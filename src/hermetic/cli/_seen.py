"""What a policy pins of a simulated machine: what that attests, verified like anybody's evidence."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hermetic.policy import Tables
    from hermetic.sources.simulator.machine import SimulatedMachine

__all__ = ["machine_tables"]


def machine_tables(machine: SimulatedMachine, *, now: datetime) -> Tables:
    """The tables of a policy for this machine; its processor's root is ``machine.root_digest``."""
    from hermetic.policy import seen_tables
    from hermetic.verify import simulated_root, verify
    from hermetic.verify.nvidia import verify_device

    nobody, nothing = bytes(64), bytes(32)
    platform = verify(
        machine.issue(nobody, launch_digest=nothing, now=now),
        roots=(simulated_root(machine.root_digest),),
        now=now,
        report_data=nobody,
    )
    if machine.nvidia is None:
        return seen_tables(platform)
    bundles = machine.nvidia.issue(nothing, now=now, machine=machine.devices)
    devices = tuple(verify_device(bundle, roots=machine.nvidia.roots, now=now, nonce=nothing) for bundle in bundles)
    return seen_tables(platform, devices)
