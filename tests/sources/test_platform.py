"""Detection, in folders that look like machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermetic.sources.platform import detect

_TSM = "sys/kernel/config/tsm/report"


def _machine(root: Path, *places: str, **files: str) -> Path:
    for place in places:
        (root / place).mkdir(parents=True)
    for name, text in files.items():
        path = root / "sys/class/dmi/id" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _present(root: Path) -> list[str]:
    return [finding.name for finding in detect(root).findings if finding.present]


def test_an_ordinary_machine_has_none(tmp_path: Path) -> None:
    platform = detect(tmp_path)
    assert platform.used is None
    assert not platform.simulated
    assert platform.summary == "no trusted execution environment was found"


def test_this_process_was_not_launched_by_the_simulator() -> None:
    assert not detect().findings[0].present
    assert not detect().simulated


def test_sev_snp_through_configfs_is_used(tmp_path: Path) -> None:
    platform = detect(_machine(tmp_path, _TSM, "dev/sev-guest"))
    assert platform.used is not None
    assert platform.used.collector == "hermetic.sources.tsm"
    assert platform.summary == "AMD SEV-SNP, through configfs-tsm, sev_guest"
    assert not platform.simulated


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("dev/sev-guest", "/dev/sev-guest"),
        ("dev/tdx_guest", "/dev/tdx_guest"),
        ("var/run/dstack.sock", "dstack"),
        ("dev/attestation/quote", "Gramine"),
        ("dev/nsm", "Nitro Secure Module"),
        ("proc/driver/nvidia/version", "NVML"),
    ],
)
def test_what_cannot_be_collected_yet_is_named_and_not_used(tmp_path: Path, place: str, name: str) -> None:
    platform = detect(_machine(tmp_path, place))
    assert _present(tmp_path) == [name]
    assert platform.used is None
    assert platform.summary == f"found {name}, which this version cannot collect evidence from yet"


def test_configfs_alone_says_nothing_about_which_tee(tmp_path: Path) -> None:
    assert _present(_machine(tmp_path, _TSM)) == []
    assert "configfs-tsm, tdx_guest" in _present(_machine(tmp_path, "dev/tdx_guest"))


def test_clouds_are_told_apart_by_their_firmware_and_only_with_a_vtpm(tmp_path: Path) -> None:
    tag = "7783-7084-3265-9085-8269-3286-77\n"
    assert _present(_machine(tmp_path / "a", chassis_asset_tag=tag)) == []
    assert _present(_machine(tmp_path / "b", "dev/tpmrm0", chassis_asset_tag=tag)) == ["Azure vTPM"]
    google = _machine(tmp_path / "c", "dev/tpmrm0", product_name="Google Compute Engine\n")
    assert _present(google) == ["Google Cloud vTPM"]
    assert _present(_machine(tmp_path / "d", "dev/tpmrm0", product_name="Laptop")) == []
