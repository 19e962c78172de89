"""What a verified NVIDIA device says, as claims; by the names of EAT and of NVIDIA's own attestation service."""

from __future__ import annotations

from collections.abc import Iterator

from hermetic.evidence.nvidia import NvidiaReport
from hermetic.results.claim import Claim, Source, Value
from hermetic.verify import Outcome
from hermetic.verify.nvidia import DeviceClaims

_NVIDIA = 5703
_COMPARED, _NOT_COMPARED = "comparison-success", "comparison-not-run"
"""EAT's ``measres`` (RFC 9711, 4.2.17).  A comparison that failed makes no claims at all."""
_MEASUREMENTS = "nvidia.measurements."


def device_claims(verified: DeviceClaims) -> tuple[Claim, ...]:
    """Every claim of one GPU or switch."""
    return tuple(_claims(verified))


def _claims(verified: DeviceClaims) -> Iterator[Claim]:
    yield _claim("oemid", _NVIDIA, Source.CERTIFICATE)
    yield _claim("hwmodel", verified.model.name, Source.CERTIFICATE)
    yield _claim("ueid", verified.ueid, Source.CERTIFICATE)
    yield _claim("eat_nonce", verified.nonce.hex(), Source.EVIDENCE)
    yield _claim("nvidia.architecture", str(verified.model.architecture), Source.CERTIFICATE)
    for name, value in nvidia_fields(verified.report).items():
        yield _claim(f"nvidia.{name}", value, Source.EVIDENCE)
    compared = [check.outcome for check in verified.checks if check.name.startswith(_MEASUREMENTS)]
    agreed = bool(compared) and set(compared) == {Outcome.PASS}
    yield _claim("measres", _COMPARED if agreed else _NOT_COMPARED, Source.MANIFEST)
    names = (verified.rim_names.driver, verified.rim_names.firmware)
    yield _claim("nvidia.manifests", tuple(name for name in names if name is not None), Source.EVIDENCE)


def nvidia_fields(report: NvidiaReport) -> dict[str, Value]:
    """A report's own fields.  ``measurements`` are those of its blocks, as "index:hex"."""
    opaque = report.opaque
    stated: dict[str, Value | None] = {
        "driver-version": opaque.driver_version,
        "firmware-version": opaque.firmware_version,
        "mode": None if opaque.mode is None else str(opaque.mode),
        "chip": opaque.chip_info,
        "project": opaque.project,
        "project-sku": opaque.project_sku,
        "chip-sku": opaque.chip_sku,
        "protected-pcie": opaque.protected_pcie,
        "nvdec0-enabled": opaque.nvdec0_enabled,
        "fwid": None if opaque.fwid is None else opaque.fwid.hex(),
        "switch-pdis": tuple(pdi.hex() for pdi in opaque.switch_pdis) or None,
        "gpu-pdis": tuple(pdi.hex() for pdi in opaque.gpu_pdis) or None,
        "unknown-fields": tuple(map(str, opaque.unknown_types)) or None,
        "measurements": tuple(f"{block.index}:{block.value.hex()}" for block in report.measurements),
    }
    return {name: value for name, value in stated.items() if value is not None}


def _claim(name: str, value: Value, source: Source) -> Claim:
    return Claim(name=name, value=value, source=source)
