"""Which device a chain is for, and by which names NVIDIA publishes the manifests of what runs on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hermetic.errors import NotAuthentic
from hermetic.evidence.nvidia import NvidiaReport
from hermetic.evidence.x509 import Certificate


class Architecture(StrEnum):
    """The generation of a device."""

    HOPPER = "Hopper"
    BLACKWELL = "Blackwell"
    NVSWITCH3 = "NVSwitch 3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a chain names.  ``name`` is the boot ROM's ("GH100 A01 GSP BROM"), ``product`` as manifests have it."""

    name: str
    architecture: Architecture
    product: str

    @property
    def is_switch(self) -> bool:
        return self.architecture is Architecture.NVSWITCH3


@dataclass(frozen=True, slots=True, kw_only=True)
class RimNames:
    """NVIDIA's names of the manifests for one report.  A switch has no driver of its own."""

    driver: str | None
    firmware: str


# By the first word of the boot ROM's name.  A chip that is not here is refused: nobody has seen its reports.
_CHIPS = {
    "GH100": (Architecture.HOPPER, "GH100"),
    "GB100": (Architecture.BLACKWELL, "GB100"),
    "LS_10": (Architecture.NVSWITCH3, "LS10"),
}
# A switch reports its BIOS version only; NVIDIA's own verifier fills in the rest for the one board there is.
_SWITCH_BOARD = "5612_0002_890"


def model_of(chain: tuple[Certificate, ...]) -> Model:
    """From the boot ROM's certificate, the second of the chain, with which its neighbours must agree."""
    leaf, brom, provisioner = chain[:3]
    chip, _, rest = brom.common_name.partition(" ")
    if chip not in _CHIPS or not rest.endswith(" BROM"):
        raise NotAuthentic(f"{brom.common_name}, which this version does not know")
    if not leaf.common_name.startswith(f"{chip} ") or not provisioner.common_name.startswith(f"NVIDIA {chip} "):
        raise NotAuthentic(f"{leaf.common_name} from {brom.common_name} from {provisioner.common_name}")
    architecture, product = _CHIPS[chip]
    return Model(name=brom.common_name, architecture=architecture, product=product)


def require_report_of(model: Model, report: NvidiaReport) -> None:
    """The report has the fields that a device of this model reports.  Raises NotAuthentic."""
    opaque = report.opaque
    if (opaque.driver_version is None) != model.is_switch:
        raise NotAuthentic(f"a report {'with' if model.is_switch else 'without'} a driver from a {model.architecture}")
    if not model.is_switch and None in (opaque.project, opaque.project_sku, opaque.chip_sku, opaque.nvdec0_enabled):
        raise NotAuthentic("a report that does not say which board it is from")
    if opaque.chip_info not in (None, model.product):
        raise NotAuthentic(f"a report of {opaque.chip_info} under a certificate for {model.product}")


def rim_names(model: Model, report: NvidiaReport) -> RimNames:
    """The manifests that a verified report asks for; ``report`` is one of ``model``'s."""
    opaque = report.opaque
    firmware = opaque.firmware_version.replace(".", "")
    if model.is_switch:
        return RimNames(driver=None, firmware=f"NV_SWITCH_BIOS_{_SWITCH_BOARD}_{firmware}")
    # Hopper's name for it, asked for a Blackwell, is answered with a validly signed manifest of the wrong product.
    line = "NV_GPU_DRIVER" if model.architecture is Architecture.HOPPER else "NV_GPU_CC_DRIVER"
    return RimNames(
        driver=f"{line}_{model.product}_{opaque.driver_version}",
        firmware=f"NV_GPU_VBIOS_{opaque.project}_{opaque.project_sku}_{opaque.chip_sku}_{firmware}",
    )
