"""Detection, in folders that look like machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermetic.errors import Unavailable
from hermetic.sources.platform import Askers, collector, detect

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
    ("places", "name", "module", "askers"),
    [
        ((_TSM, "dev/sev-guest"), "configfs-tsm, sev_guest", "tsm", Askers.ADMITTED),
        (("dev/sev-guest",), "/dev/sev-guest", "sev_guest", Askers.ADMITTED),
        ((_TSM, "dev/tdx_guest"), "configfs-tsm, tdx_guest", "tsm", Askers.ADMITTED),
        (("dev/tdx_guest",), "/dev/tdx_guest", "tdx_guest", Askers.ADMITTED),
        (("var/run/dstack.sock",), "dstack", "dstack", Askers.ANYBODY),
        (("run/dstack/tappd.sock",), "dstack", "dstack", Askers.ANYBODY),
        (("dev/attestation/quote",), "Gramine", "gramine", Askers.ENCLAVE),
    ],
    ids=["tsm-snp", "sev-guest", "tsm-tdx", "tdx-guest", "dstack", "tappd", "gramine"],
)
def test_each_interface_has_a_collector_of_its_tee(
    tmp_path: Path, places: tuple[str, ...], name: str, module: str, askers: Askers
) -> None:
    used = detect(_machine(tmp_path, *places)).used
    assert used is not None
    assert (used.name, used.collector, used.askers) == (name, f"hermetic.sources.{module}", askers)
    source = collector(used, tmp_path)
    assert type(source).__module__ == used.collector


def test_a_collector_asks_in_the_place_that_was_found(tmp_path: Path) -> None:
    used = detect(_machine(tmp_path, "run/dstack/tappd.sock")).used
    assert used is not None
    with pytest.raises(Unavailable, match=str(tmp_path / "run/dstack/tappd.sock")):
        collector(used, tmp_path).collect(bytes(64))


@pytest.mark.parametrize(("place", "name"), [("dev/nsm", "Nitro Secure Module")], ids=["nitro"])
def test_what_cannot_be_collected_yet_is_named_and_not_used(tmp_path: Path, place: str, name: str) -> None:
    platform = detect(_machine(tmp_path, place))
    assert _present(tmp_path) == [name]
    assert platform.used is None
    assert platform.summary == f"found {name}, which this version cannot collect evidence from yet"
    (found,) = (finding for finding in platform.findings if finding.present)
    with pytest.raises(Unavailable, match="collects no evidence of a platform through Nitro"):
        collector(found, tmp_path)


def test_a_gpu_is_a_device_and_no_platform(tmp_path: Path) -> None:
    platform = detect(_machine(tmp_path, "proc/driver/nvidia/version"))
    assert platform.used is None
    assert [found.name for found in platform.devices] == ["NVML"]
    assert platform.summary == "no trusted execution environment was found"
    with pytest.raises(Unavailable, match="through NVML"):
        collector(platform.devices[0], tmp_path)


def test_no_simulated_device_without_its_launcher() -> None:
    with pytest.raises(Unavailable, match="not launched"):
        collector(detect().findings[0])


def test_dstacks_agent_comes_before_the_kernel_for_it_has_the_event_log(tmp_path: Path) -> None:
    used = detect(_machine(tmp_path, _TSM, "dev/tdx_guest", "var/run/dstack.sock")).used
    assert used is not None
    assert used.name == "dstack"


def test_the_newer_of_two_sockets_is_asked(tmp_path: Path) -> None:
    used = detect(_machine(tmp_path, "var/run/dstack.sock", "var/run/tappd.sock")).used
    assert used is not None
    assert used.place == "/var/run/dstack.sock"


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
