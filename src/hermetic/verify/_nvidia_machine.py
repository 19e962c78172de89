"""Are these devices one machine?  GPUs and switches that answered one question, and that name one another.

Each device was verified alone before; this looks only at what they say together.  In order, to the first failure.

    machine 1   one vendor's world: all real, or all simulated
    machine 2   one nonce
    machine 3   each device once, at least one GPU, and as many as expected where the caller says how many
    machine 4   one mode
    machine 5   with switches: GPUs and switches list one another (protected PCIe)
"""

from __future__ import annotations

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.evidence.nvidia import FeatureMode
from hermetic.verify._checks import Check, Checklist
from hermetic.verify._nvidia_claims import DeviceClaims

_SECTION = "NVIDIA 9 and 10: NVIDIA PPCIE verifier"


def check_machine(
    devices: tuple[DeviceClaims, ...], *, nonce: bytes | None, gpus: int | None = None, switches: int | None = None
) -> tuple[Check, ...]:
    """The checks.  ``gpus`` and ``switches`` are how many the caller expects; None leaves that to a policy.

    Whatever the caller expects, there is at least one GPU, and GPUs and switches name one another.  ``nonce`` None
    records as not performed that the question was the caller's; that it was one question is asked all the same.

    Raises NotAuthentic at the first that fails, Misconfigured for an expectation that cannot be meant.
    """
    if (gpus is not None and gpus < 1) or (switches is not None and switches < 0):
        raise Misconfigured("a machine has at least one GPU, and no fewer than no switches")
    checks = Checklist()
    own_gpus = tuple(claims for claims in devices if not claims.model.is_switch)
    own_switches = tuple(claims for claims in devices if claims.model.is_switch)
    with checks.step(
        "machine.world", "No simulated device stands beside a real one", section=_SECTION, expected="all, or none"
    ):
        if len({claims.simulated for claims in devices}) > 1:
            raise NotAuthentic("simulated devices beside real ones")
    _check_nonce(checks, devices, nonce)
    with checks.step(
        "machine.devices",
        "Each device answered once, and none is missing",
        section=_SECTION,
        expected=f"{_count(gpus)} GPUs and {_count(switches)} switches",
        got=f"{len(own_gpus)} GPUs and {len(own_switches)} switches",
    ):
        _require_count(devices, own_gpus, own_switches, gpus, switches)
    with checks.step(
        "machine.mode", "All GPUs are in one mode", section=_SECTION, expected="one mode, and a stated one"
    ):
        _require_mode(own_gpus, own_switches)
    if own_switches:
        with checks.step(
            "machine.links",
            "GPUs and switches name one another",
            section=_SECTION,
            expected=f"every GPU linked to these {len(own_switches)} switches, "
            f"every switch to the same {len(own_gpus)} GPUs",
        ):
            _require_links(own_gpus, own_switches)
    return checks.made


def _check_nonce(checks: Checklist, devices: tuple[DeviceClaims, ...], nonce: bytes | None) -> None:
    answered = {claims.nonce for claims in devices}
    name, title = "machine.nonce", "Every device answered one question, and it was ours"
    if nonce is None and len(answered) == 1:
        checks.not_performed(
            name,
            title,
            section=_SECTION,
            expected="a nonce of the caller's own",
            got=f"one question, {next(iter(answered)).hex()}",
            fix="compare with your own nonce",
        )
        return
    with checks.step(name, title, section=_SECTION, expected="one nonce for all" if nonce is None else nonce.hex()):
        if answered != {nonce}:
            raise NotAuthentic(", ".join(sorted(other.hex() for other in answered)) or "no device")


def _count(expected: int | None) -> str:
    return "any number of" if expected is None else str(expected)


def _require_count(
    devices: tuple[DeviceClaims, ...],
    own_gpus: tuple[DeviceClaims, ...],
    own_switches: tuple[DeviceClaims, ...],
    gpus: int | None,
    switches: int | None,
) -> None:
    if len({claims.ueid for claims in devices}) != len(devices):
        raise NotAuthentic("one device twice")
    if gpus not in (None, len(own_gpus)) or switches not in (None, len(own_switches)):
        raise NotAuthentic(f"{len(own_gpus)} GPUs and {len(own_switches)} switches")
    if not own_gpus:
        raise NotAuthentic("no GPU")
    if len({claims.model.architecture for claims in own_gpus}) > 1:
        raise NotAuthentic("GPUs of different generations")


def _require_mode(own_gpus: tuple[DeviceClaims, ...], own_switches: tuple[DeviceClaims, ...]) -> None:
    modes = {claims.mode for claims in own_gpus}
    stated = ", ".join(sorted(mode or "a driver that does not say" for mode in modes))
    # A lone GPU with an old driver says nothing about sharing, and there is nothing for it to be consistent with.
    if modes == {None} and len(own_gpus) == 1 and not own_switches:
        return
    if len(modes) != 1 or None in modes:
        raise NotAuthentic(stated)
    if (FeatureMode.PPCIE in modes) != bool(own_switches):
        raise NotAuthentic(f"{stated} {'with' if own_switches else 'without'} switches")


def _require_links(own_gpus: tuple[DeviceClaims, ...], own_switches: tuple[DeviceClaims, ...]) -> None:
    present = {claims.report.opaque.switch_pdis for claims in own_switches}
    if any(len(pdis) != 1 for pdis in present) or len(present) != len(own_switches):
        raise NotAuthentic("switches that do not each say who they are")
    names = {pdis[0] for pdis in present}
    if any(set(claims.report.opaque.switch_pdis) != names for claims in own_gpus):
        raise NotAuthentic("a GPU that is linked to other switches")
    listed = {frozenset(claims.report.opaque.gpu_pdis) for claims in own_switches}
    if len(listed) != 1 or len(next(iter(listed))) != len(own_gpus):
        raise NotAuthentic("switches that are linked to other GPUs")
