"""All the evidence that a machine has, collected at once: its devices first, then the platform, which names them.

    devices        nonce
    report data    nonce ‖ digest of the devices' evidence, 32 bytes each, unless the asker gives 64 bytes of their own

So the platform's signature covers the nonce and the devices that answered it.  It covers no keys and no program: what a
workload says of itself is bound by :mod:`hermetic.identity`, whose report data are hashes, and this cannot be one of
them by accident or design.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.evidence import Composite, DeviceSource, machine_report_data
from hermetic.sources.nvml import NvmlDevices
from hermetic.sources.platform import Finding, Platform, collector
from hermetic.sources.simulator.device import SimulatedDevice

__all__ = ["Collection", "collect"]

_REPORT_DATA = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What was collected, and over what.

    ``interface`` is None where there are devices alone; ``nonce`` is what devices answered, or would have;
    ``report_data`` is the platform's.  ``left_out`` says in sentences what is in this machine and not in the evidence.
    """

    evidence: Composite = field(repr=False)
    interface: Finding | None
    nonce: bytes
    report_data: bytes
    left_out: tuple[str, ...]

    @property
    def together(self) -> bool:
        """Whether the platform answers the nonce together with its devices, and not report data of the asker's own."""
        return self.report_data == machine_report_data(self.nonce, self.evidence.devices)


def collect(
    found: Platform,
    *,
    nonce: bytes,
    report_data: bytes | None = None,
    devices: DeviceSource | None = None,
    root: Path = Path("/"),
) -> Collection:
    """Evidence of everything in ``found`` that attests, over a 32-byte ``nonce``.

    ``report_data`` (64 bytes) replaces what the platform would sign otherwise; ``devices`` replaces what was found.
    Raises Unavailable where nothing attests, and where something that does is asked and does not answer.
    """
    if report_data is not None and len(report_data) != _REPORT_DATA:
        raise Malformed(f"report data: expected {_REPORT_DATA} bytes, got {len(report_data)}")
    # 1. What there is to ask.
    source = None if found.used is None else collector(found.used, root)
    asked, left_out = (devices, ()) if devices is not None else _devices(found, source)
    if source is None and asked is None:
        raise _nothing(found, left_out)
    # 2. Devices first: the platform signs what they answered.
    answered = () if asked is None else asked.collect(nonce)
    over = machine_report_data(nonce, answered) if report_data is None else report_data
    # 3. The platform.
    bundle = None if source is None else source.collect(over)
    return Collection(
        evidence=Composite(platform=bundle, devices=answered),
        interface=found.used,
        nonce=nonce,
        report_data=over,
        left_out=left_out,
    )


def _devices(found: Platform, source: object) -> tuple[DeviceSource | None, tuple[str, ...]]:
    """What answers for the devices, and what is left out of them."""
    if isinstance(source, SimulatedDevice):
        return source.devices, ()
    if not found.devices:
        return None, ()
    library = NvmlDevices()
    try:
        mode = library.mode()
    except (Misconfigured, Unavailable) as refusal:
        return None, (f"NVIDIA GPUs, if there are any: {refusal}",)
    if not mode.attests:
        return None, (f"{mode.gpus} NVIDIA GPUs: they do not run in a confidential mode, so they attest nothing",)
    return library, ()


def _nothing(found: Platform, left_out: tuple[str, ...]) -> Unavailable:
    return Unavailable(
        "; ".join((f"there is nothing to collect evidence from: {found.summary}", *left_out)),
        code="no_tee",
        fix="run this inside a confidential machine, or try the chain on a simulated one: hermetic demo",
    )
