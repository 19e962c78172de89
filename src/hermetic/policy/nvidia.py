"""Do we want these GPUs and switches?  The ``[nvidia]`` table of a policy, and its appraisal.

    [nvidia]
    gpus = 8                                      # neither more nor fewer
    switches = 4
    modes = ["PPCIE"]

    [nvidia.driver_min]                           # by product, as NVIDIA's manifests name it
    GH100 = "570.124.06"

    [nvidia.vbios_min]
    GH100 = "96.00.A5.00.01"
    LS10 = "96.10.55.00.01"

Continues the check-list of :mod:`hermetic.verify.nvidia`, and reports every failure at once:

    NVIDIA 9   each device is of a kind, a version and a mode that we want, and one that we listed
    NVIDIA 10  they are one machine, and as many as there must be

That NVIDIA published what runs and revoked nothing is verified before; a verification that did without is not accepted.
No report has a field for development tools: a GPU in that mode measures what no manifest lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.errors import NotAuthentic
from hermetic.evidence.nvidia import FeatureMode
from hermetic.identity import name_devices
from hermetic.policy._checks import Step
from hermetic.policy._nvidia_lint import lint_nvidia
from hermetic.policy._nvidia_table import GPU_ARCHITECTURES, NvidiaPolicy
from hermetic.verify import Check
from hermetic.verify.nvidia import DeviceClaims, check_machine

__all__ = ["GPU_ARCHITECTURES", "NvidiaPolicy", "appraise_nvidia", "lint_nvidia"]

_SECTION = "NVIDIA 9: NVIDIA local verifier"


def appraise_nvidia(devices: tuple[DeviceClaims, ...], policy: NvidiaPolicy) -> tuple[Check, ...]:
    """Every check that ``policy`` asks for, passed and failed.  Decides nothing: the caller refuses if one failed.

    A check of one device carries its name: ``policy.nvidia.gpu0.driver``.
    """
    checks = [
        check
        for name, device in zip(name_devices(devices), devices, strict=True)
        for check in _one(name, device, policy)
    ]
    return (*checks, *_machine(devices, policy))


def _one(name: str, device: DeviceClaims, policy: NvidiaPolicy) -> Iterator[Check]:
    # 9. Each device for itself.
    step = Step(table=f"nvidia.{name}", section=_SECTION)
    if not device.model.is_switch:
        yield step.member(
            "architecture",
            "The GPU is of a generation that we want",
            device.model.architecture,
            policy.architectures,
            "use another GPU, or name its generation in nvidia.architectures",
        )
        yield from _driver(step, device, policy)
        yield from _mode(step, device, policy)
    yield from _vbios(step, device, policy)
    unknown = [number for number in device.report.opaque.unknown_types if number not in policy.allow_opaque_fields]
    yield step.check(
        "opaque-fields",
        "The report says nothing whose meaning we do not know",
        not unknown,
        f"none but {', '.join(map(str, policy.allow_opaque_fields))}" if policy.allow_opaque_fields else "none",
        ", ".join(f"field {number}" for number in device.report.opaque.unknown_types) or "none",
        "find out what the field means; then name it in nvidia.allow_opaque_fields",
    )
    if policy.ueids is not None:
        yield step.member(
            "ueid",
            "It is one of the devices we listed",
            device.ueid,
            policy.ueids,
            "add it to nvidia.ueids, if you know where it stands",
        )


def _driver(step: Step, device: DeviceClaims, policy: NvidiaPolicy) -> Iterator[Check]:
    if not policy.driver_min:
        return  # only a development profile may ask for nothing here
    product, version = device.model.product, device.driver_version or ""
    floor = policy.driver_min.get(product)
    yield step.check(
        "driver",
        "The driver is not too old",
        floor is not None and _numbers(version, 10) >= _numbers(floor, 10),
        f"at least {floor}" if floor else f"a floor for {product} in the policy",
        version or "not stated",
        f"update the driver, or state nvidia.driver_min for {product}",
    )


def _vbios(step: Step, device: DeviceClaims, policy: NvidiaPolicy) -> Iterator[Check]:
    if not policy.vbios_min:
        return  # only a development profile may ask for nothing here
    product, project, version = device.model.product, device.report.opaque.project or "", device.firmware_version
    floor = policy.vbios_min.get(project) or policy.vbios_min.get(product)
    yield step.check(
        "vbios",
        "The firmware of the board is not too old",
        floor is not None and _numbers(version, 16) >= _numbers(floor, 16),
        f"at least {floor}" if floor else f"a floor for {product} in the policy",
        version,
        f"update the board's firmware, or state nvidia.vbios_min for {product}",
    )


def _mode(step: Step, device: DeviceClaims, policy: NvidiaPolicy) -> Iterator[Check]:
    if policy.modes is not None:
        wanted = [FeatureMode[mode] for mode in policy.modes]
        yield step.member(
            "mode",
            "The GPU is shared and linked as we ask",
            device.mode or "",
            wanted,
            "set the GPU's mode on the host, and run a driver that reports it",
        )


def _machine(devices: tuple[DeviceClaims, ...], policy: NvidiaPolicy) -> Iterator[Check]:
    # 10. All of them together.
    step = Step(table="nvidia", section="NVIDIA 10: NVIDIA PPCIE verifier")
    switches = sum(device.model.is_switch for device in devices)
    for name, kind, wanted, got in (
        ("gpus", "GPU", policy.gpus, len(devices) - switches),
        ("switches", "switch", policy.switches, switches),
    ):
        yield step.check(
            name,
            f"Each {kind} is there that must be, and no other",
            got == wanted,
            str(wanted),
            str(got),
            f"ask every device, or state how many there are in nvidia.{name}",
        )
    try:
        # Whether the question was ours is verified with our own nonce; that it was one question is looked at here too.
        check_machine(devices, nonce=None)
        fault = ""
    except NotAuthentic as refusal:
        fault = refusal.message
    yield step.check("machine", "The devices are one machine", not fault, "one machine", fault or "one machine")


def _numbers(version: str, base: int) -> tuple[int, ...]:
    """A version's parts, as they compare: in decimal for drivers, in hex for firmware.

    Nothing, which is below every floor, where a part is no number: a driver may call itself what it likes.
    """
    try:
        return tuple(int(part, base) for part in version.split("."))
    except ValueError:
        return ()
