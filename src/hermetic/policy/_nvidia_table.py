"""The ``[nvidia]`` table of a policy: every knob, its type and its strict default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from hermetic.policy._snp_table import FileName
from hermetic.verify.nvidia import Architecture

GPU_ARCHITECTURES = tuple(made for made in Architecture if made is not Architecture.NVSWITCH3)

Serial = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,60}\Z")]
DriverVersion = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,5}(\.[0-9]{1,5}){1,3}\Z")]
FirmwareVersion = Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-F]{2}(\.[0-9A-F]{2}){4}\Z")]
Line = Annotated[str, msgspec.Meta(pattern=r"\A[A-Z0-9]{1,16}\Z")]
Mode = Literal["SPT", "MPT", "PPCIE"]
OpaqueNumber = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]


class NvidiaPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of a machine's devices.  Defaults are the strict ones; what is None is not asked.

    ``gpus`` and ``switches`` are how many there must be: neither more nor fewer.  ``driver_min`` has a floor for each
    product as manifests name it ("GH100"); ``vbios_min`` too, or for a project ("1010"), which then counts alone.
    ``modes`` are SPT (one GPU passed through), MPT (several), PPCIE (several, and switches).  ``ueids`` are serial
    numbers of devices' keys in decimal; what ``ueids_file`` lists joins them when the policy is loaded.  Fields of a
    report that nobody has named refuse unless ``allow_opaque_fields`` names them by number.

    The two simulated roots are a simulator's that plays NVIDIA: of devices, and of manifests.
    """

    gpus: Annotated[int, msgspec.Meta(ge=1, le=32)]
    switches: Annotated[int, msgspec.Meta(ge=0, le=32)] = 0
    architectures: tuple[Architecture, ...] = GPU_ARCHITECTURES
    driver_min: dict[Line, DriverVersion] = {}
    vbios_min: dict[Line, FirmwareVersion] = {}
    modes: tuple[Mode, ...] | None = None
    ueids: tuple[Serial, ...] | None = None
    ueids_file: FileName | None = None
    allow_opaque_fields: tuple[OpaqueNumber, ...] = ()
    simulated_device_root: str | None = None
    simulated_manifest_root: str | None = None
