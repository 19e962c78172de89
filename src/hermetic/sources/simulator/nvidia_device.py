"""A simulated GPU or NVSwitch: one knob for each thing that a policy can ask, and the manifests of what runs on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from hermetic.evidence.nvidia import FeatureMode, Measurement, NvidiaReport, OpaqueData, OpaqueField, OpaqueType
from hermetic.sources.simulator.nvidia_rim import Rim
from hermetic.verify.nvidia import Architecture

DRIVER_VERSION, VBIOS_VERSION, BIOS_VERSION = "550.144.03", "96.00.5E.00.01", "96.10.55.00.01"
"""What runs on healthy devices: on a GPU the first two, on a switch the last."""

DRIVER_INDEXES, FIRMWARE_INDEXES = (7, 21, 35), (1, 2, 9)
"""What manifests of drivers and of firmware have reference values for, counted from 0."""

_BLOCKS = 64
_PRODUCTS = {Architecture.HOPPER: "GH100", Architecture.BLACKWELL: "GB100", Architecture.NVSWITCH3: "LS10"}
_FLAGS = {FeatureMode.SPT: b"\0\0", FeatureMode.MPT: b"\1\0", FeatureMode.PPCIE: b"\2\0"}
_SWITCH_BOARD = "5612_0002_890"


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Who a device is linked to, by the eight bytes that name each: a GPU's switches; a switch itself, and its GPUs."""

    switches: tuple[bytes, ...] = ()
    gpus: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaGpu:
    """A GPU, healthy unless told otherwise.

    ``mode`` None is a driver too old to say; one older still ``reports_fwid`` no more.
    ``measured`` replaces what is measured at an index (from 0), ``links`` what the machine says of links, and
    ``more_fields`` adds to what the report says.
    """

    architecture: Architecture = Architecture.HOPPER
    driver_version: str = DRIVER_VERSION
    vbios_version: str = VBIOS_VERSION
    mode: FeatureMode | None = FeatureMode.SPT
    project: str = "1010"
    project_sku: str = "0200"
    chip_sku: str = "882"
    nvdec0: bool = True
    protected_pcie: bool | None = None
    reports_fwid: bool = True
    measured: Mapping[int, bytes] = field(default_factory=dict)
    links: Links | None = None
    more_fields: tuple[OpaqueField, ...] = ()

    @property
    def fwid(self) -> bytes:
        """The identity of the firmware that holds its key (48 bytes)."""
        return _digest(self.product, "fwid", self.vbios_version)

    @property
    def product(self) -> str:
        return _PRODUCTS[self.architecture]

    def rims(self) -> dict[str, Rim]:
        """Manifests of what runs on it, by NVIDIA's names for them."""
        line = "NV_GPU_DRIVER" if self.architecture is Architecture.HOPPER else "NV_GPU_CC_DRIVER"
        board = f"{self.project}_{self.project_sku}_{self.chip_sku}"
        driver = _rim(self.product, "driver", self.driver_version, DRIVER_INDEXES)
        firmware = _rim(self.product, "firmware", self.vbios_version, FIRMWARE_INDEXES)
        return {
            f"{line}_{self.product}_{self.driver_version}": driver,
            f"NV_GPU_VBIOS_{board}_{self.vbios_version.replace('.', '')}": firmware,
        }

    def report(self, nonce: bytes, responder_nonce: bytes, links: Links) -> NvidiaReport:
        """The report, not yet signed."""
        own = self.links or links
        blackwell = self.architecture is Architecture.BLACKWELL
        values = {
            OpaqueType.DRIVER_VERSION: _text(self.driver_version),
            OpaqueType.FIRMWARE_VERSION: vbios_bytes(self.vbios_version),
            OpaqueType.NVDEC0_STATUS: _switch(self.nvdec0),
            OpaqueType.CHIP_SKU: _text(self.chip_sku),
            OpaqueType.PROJECT: _text(self.project),
            OpaqueType.PROJECT_SKU: _text(self.project_sku),
            OpaqueType.FWID: self.fwid if self.reports_fwid else None,
            OpaqueType.PROTECTED_PCIE_STATUS: None if self.protected_pcie is None else _switch(self.protected_pcie),
            OpaqueType.SWITCH_PDI: b"".join(own.switches) or None,
            OpaqueType.CHIP_INFO: _text(self.product) if blackwell else None,
            OpaqueType.FEATURE_FLAG: None if self.mode is None else _FLAGS[self.mode],
        }
        versions = {"driver": (self.driver_version, DRIVER_INDEXES), "firmware": (self.vbios_version, FIRMWARE_INDEXES)}
        blocks = _measurements(self.product, versions, self.measured)
        return _report(nonce, responder_nonce, blocks, values, self.more_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaSwitch:
    """An NVSwitch of the third generation, healthy unless told otherwise; fields as a GPU's."""

    bios_version: str = BIOS_VERSION
    measured: Mapping[int, bytes] = field(default_factory=dict)
    links: Links | None = None
    more_fields: tuple[OpaqueField, ...] = ()

    @property
    def architecture(self) -> Architecture:
        return Architecture.NVSWITCH3

    @property
    def product(self) -> str:
        return _PRODUCTS[self.architecture]

    @property
    def fwid(self) -> bytes:
        """The identity of the firmware that holds its key (48 bytes)."""
        return _digest(self.product, "fwid", self.bios_version)

    def rims(self) -> dict[str, Rim]:
        """The manifest of its BIOS; a switch has no driver of its own."""
        name = f"NV_SWITCH_BIOS_{_SWITCH_BOARD}_{self.bios_version.replace('.', '')}"
        return {name: _rim(self.product, "firmware", self.bios_version, FIRMWARE_INDEXES)}

    def report(self, nonce: bytes, responder_nonce: bytes, links: Links) -> NvidiaReport:
        """The report, not yet signed."""
        own = self.links or links
        values = {
            OpaqueType.FIRMWARE_VERSION: self.bios_version.encode(),
            OpaqueType.FWID: self.fwid,
            OpaqueType.SWITCH_PDI: b"".join(own.switches) or None,
            OpaqueType.GPU_PDIS: b"".join(own.gpus) or None,
        }
        blocks = _measurements(self.product, {"firmware": (self.bios_version, FIRMWARE_INDEXES)}, self.measured)
        return _report(nonce, responder_nonce, blocks, values, self.more_fields)


NvidiaDevice = NvidiaGpu | NvidiaSwitch


def vbios_bytes(version: str) -> bytes:
    """A VBIOS version ("96.00.5E.00.01") as reports carry it: four bytes from the last to the first, then the fifth."""
    parts = bytes.fromhex(version.replace(".", ""))
    return parts[3::-1] + parts[4:] + bytes(3)


def _rim(product: str, what: str, version: str, indexes: tuple[int, ...]) -> Rim:
    golden = {index: (_measurement(product, what, version, index),) for index in indexes}
    return Rim(product=product, version=version, golden=golden)


def _measurements(
    product: str, versions: Mapping[str, tuple[str, tuple[int, ...]]], measured: Mapping[int, bytes]
) -> tuple[Measurement, ...]:
    values = {index: _measurement(product, "other", "", index) for index in range(_BLOCKS)}
    for what, (version, indexes) in versions.items():
        values |= {index: _measurement(product, what, version, index) for index in indexes}
    values |= measured
    return tuple(Measurement(index=index + 1, type=1, value=value) for index, value in sorted(values.items()))


def _measurement(product: str, what: str, version: str, index: int) -> bytes:
    return _digest(product, what, version, str(index))


def _digest(*words: str) -> bytes:
    return hashlib.sha384(" ".join(("hermetic simulated NVIDIA", *words)).encode()).digest()


def _report(
    nonce: bytes,
    responder_nonce: bytes,
    measurements: tuple[Measurement, ...],
    values: Mapping[OpaqueType, bytes | None],
    more: tuple[OpaqueField, ...],
) -> NvidiaReport:
    fields = (OpaqueField(type=kind, value=value) for kind, value in values.items() if value is not None)
    return NvidiaReport(
        nonce=nonce,
        slot=0,
        measurements=measurements,
        responder_nonce=responder_nonce,
        opaque=OpaqueData(fields=(*fields, *more)),
        signature=bytes(96),
    )


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _switch(on: bool) -> bytes:
    return b"\xaa" if on else b"\x55"
