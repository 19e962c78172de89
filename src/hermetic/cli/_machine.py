"""The options that choose a simulated machine: its TEE, its GPUs and its switches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["TEES", "machine_options", "tee_of", "tee_option"]

TEES = ("snp", "tdx", "sgx")

_Command = TypeVar("_Command", bound=Callable[..., Any])

tee_option = click.option("--tee", type=click.Choice(TEES), default="snp", show_default=True, help="Which TEE to play.")

_gpus = click.option("--gpus", type=click.IntRange(0, 16), default=0, show_default=True, help="How many GPUs it has.")
_switches = click.option(
    "--switches", type=click.IntRange(0, 16), default=0, show_default=True, help="How many NVSwitches link them."
)


def machine_options(command: _Command) -> _Command:
    """``--tee``, ``--gpus`` and ``--switches``."""
    return tee_option(_gpus(_switches(command)))


def tee_of(option: str) -> str:
    """The kind of evidence that an option's value means."""
    from hermetic.evidence import SEV_SNP, SGX, TDX

    return dict(zip(TEES, (SEV_SNP, TDX, SGX), strict=True))[option]
