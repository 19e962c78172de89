"""What is wrong with an ``[nvidia]`` table before anybody relies on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hermetic.policy._finding import Finding, empty_list, excludes_nothing
from hermetic.policy._nvidia_table import NvidiaPolicy
from hermetic.verify.nvidia import Architecture

PRODUCTS = {Architecture.HOPPER: "GH100", Architecture.BLACKWELL: "GB100", Architecture.NVSWITCH3: "LS10"}


def lint_nvidia(policy: NvidiaPolicy, profile: Literal["production", "development"]) -> Iterator[Finding]:
    """What is wrong with the table by itself, then what a production profile may not say."""
    for field in ("architectures", "modes", "ueids"):
        if getattr(policy, field) == ():
            yield empty_list("nvidia", field)
    if Architecture.NVSWITCH3 in policy.architectures:
        yield Finding(
            code="switch_is_no_gpu",
            message="nvidia.architectures is about GPUs, and names a switch",
            fix="say how many switches there are: switches = 4",
        )
    if policy.modes is not None and ("PPCIE" in policy.modes) != bool(policy.switches):
        yield Finding(
            code="mode_impossible",
            message=f"nvidia.modes are {', '.join(policy.modes)} with {policy.switches} switches: PPCIE has some",
            fix='modes = ["PPCIE"] with switches, "SPT" or "MPT" without',
        )
    if (policy.simulated_device_root is None) != (policy.simulated_manifest_root is None):
        yield Finding(
            code="simulated_root_alone",
            message="a simulated NVIDIA has two roots, and nvidia pins one",
            fix="state simulated_device_root and simulated_manifest_root",
        )
    yield from _projects(policy)
    if profile == "production":
        yield from _lint_production(policy)


def _projects(policy: NvidiaPolicy) -> Iterator[Finding]:
    """A project's floor counts alone for its boards, so that it can be lower: by a slip, or because one means it."""
    products = {name: floor for name, floor in policy.vbios_min.items() if name in PRODUCTS.values()}
    lowest = min(products.values(), default="")  # versions are of one width, so they compare as text
    for name, floor in policy.vbios_min.items():
        # Which product a project's boards are of is not known here: below all of them is below its own.
        if floor < lowest:
            yield Finding(
                code="project_below_product",
                message=f"nvidia.vbios_min.{name} is below {', '.join(products)}, and counts alone for its boards",
                fix=f"remove {name}, unless its boards have versions of their own",
                refuses=False,
            )


def _lint_production(policy: NvidiaPolicy) -> Iterator[Finding]:
    gpus = [PRODUCTS[made] for made in policy.architectures if made in PRODUCTS]
    switches = [PRODUCTS[Architecture.NVSWITCH3]] if policy.switches else []
    for field, products in (("driver_min", gpus), ("vbios_min", [*gpus, *switches])):
        for product in products:
            if product not in getattr(policy, field):
                yield Finding(
                    code="device_floor_missing",
                    message=f"there is no floor for {product} in nvidia.{field}",
                    fix=f"add {product} to [nvidia.{field}], or name fewer architectures",
                )
        for name, floor in getattr(policy, field).items():
            if not floor.strip("0."):
                yield excludes_nothing(f"nvidia.{field}.{name}")
    if policy.modes is None:
        yield Finding(
            code="pins_no_modes",
            message="nvidia.modes is not stated: a driver too old to say how its GPU is shared would be accepted",
            fix='modes = ["SPT"] for one GPU, ["MPT"] for several, ["PPCIE"] with switches',
        )
    if policy.simulated_device_root is not None or policy.simulated_manifest_root is not None:
        yield Finding(
            code="simulation_in_production",
            message="a production policy never trusts a simulator",
            fix="remove the simulated roots under [nvidia]",
        )
