"""What a device measured against what its vendor published: every active reference value must be met."""

from __future__ import annotations

from hermetic.errors import NotAuthentic
from hermetic.evidence.nvidia import NvidiaReport
from hermetic.verify._checks import Checklist
from hermetic.verify._nvidia_manifest import GoldenMeasurement

_NVDEC0_INDEX = 35
_SECTION = "NVIDIA 8: NVIDIA local verifier"


def check_no_conflict(
    checks: Checklist, driver: tuple[GoldenMeasurement, ...], firmware: tuple[GoldenMeasurement, ...]
) -> None:
    """No measurement is claimed by both manifests: which of the two counts would depend on who reads them."""
    both = sorted({entry.index for entry in driver} & {entry.index for entry in firmware})
    with checks.step(
        "nvidia.measurements.no-conflict",
        "Driver and firmware manifest are about different measurements",
        section=_SECTION,
        expected="no index in both",
    ):
        if both:
            raise NotAuthentic(f"in both: {', '.join(map(str, both))}")


def check_golden(checks: Checklist, report: NvidiaReport, golden: tuple[GoldenMeasurement, ...], what: str) -> None:
    """Every active entry of one manifest (``what``: "driver" or "firmware") is what the device measured."""
    # The decoder's measurement means nothing while the decoder is off; the report says so, signed.
    skipped = _NVDEC0_INDEX if report.opaque.nvdec0_enabled is False else None
    counted = tuple(entry for entry in golden if entry.index != skipped)
    measured = {block.index - 1: block.value for block in report.measurements}
    wrong = [entry.index for entry in counted if measured.get(entry.index) not in entry.values]
    with checks.step(
        f"nvidia.measurements.{what}",
        f"The device measured what NVIDIA published for this {what}",
        section=_SECTION,
        expected=f"{len(counted)} of {len(counted)} reference values",
        fix=f"the {what} is not the published one, or was changed",
    ):
        if not counted:
            # Nothing to compare is nothing proven.
            raise NotAuthentic("a manifest without active reference values")
        if wrong:
            raise NotAuthentic(f"other measurements at {', '.join(map(str, wrong))}")
