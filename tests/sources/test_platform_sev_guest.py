"""The collector for ``/dev/sev-guest``, on a driver that treats structures as the kernel's does."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from certificate_table_support import certificate_table
from collector_support import mounted, needs_fuse
from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, SnpReport
from hermetic.sources.sev_guest import SevGuestSource
from hermetic.verify import verify
from snp_support import NOW, issue, roots, simulated

from .guest_kernel import MAX_TABLE, PAGE, SNP_GET_EXT_REPORT, SNP_GET_REPORT, SevGuest, in_process

_KERNEL = Path(__file__).with_name("guest_kernel.py")


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "sev-guest"
    path.touch()
    return path


def _source(device: Path, driver: SevGuest, **options: Any) -> SevGuestSource:
    return SevGuestSource(device, ioctl=in_process(driver), **options)


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(_KERNEL, tmp_path_factory.mktemp("dev")) as folder:
        yield folder


@needs_fuse
@pytest.mark.parametrize("certificates", [True, False])
def test_a_report_through_a_real_file_and_the_system_call(devices: Path, certificates: bool) -> None:
    report_data = os.urandom(64)
    bundle = SevGuestSource(devices / "sev-guest", certificates=certificates).collect(report_data)
    assert SnpReport.from_bytes(bundle.evidence).report_data == report_data
    assert bool(bundle.endorsements) is certificates


@needs_fuse
def test_a_real_file_that_is_no_such_device(devices: Path) -> None:
    with pytest.raises(Unavailable, match="no such device"):
        SevGuestSource(devices / "tdx_guest").collect(bytes(64))


def test_what_is_collected_verifies(device: Path) -> None:
    report_data = os.urandom(64)
    driver = SevGuest()
    source = _source(device, driver)
    bundle = source.collect(report_data)
    verify(bundle, roots=roots(simulated()), now=NOW, report_data=report_data)
    assert source.tee == bundle.tee == SEV_SNP
    assert [asked["request"] for asked in driver.asked] == [SNP_GET_EXT_REPORT]


def test_without_certificates_the_host_is_not_asked_for_its_table(device: Path) -> None:
    driver = SevGuest()
    bundle = _source(device, driver, certificates=False).collect(bytes(64))
    assert dict(bundle.endorsements) == {}
    assert [asked["request"] for asked in driver.asked] == [SNP_GET_REPORT]


def test_a_host_without_certificates_offers_none(device: Path) -> None:
    assert dict(_source(device, SevGuest(table=b"")).collect(bytes(64)).endorsements) == {}


def test_a_table_that_cannot_be_read_is_refused(device: Path) -> None:
    with pytest.raises(Malformed, match="certificate table"):
        _source(device, SevGuest(table=b"\1" * PAGE)).collect(bytes(64))


def test_threads_and_objects_get_their_own_answers(device: Path) -> None:
    driver = SevGuest()
    one, two = _source(device, driver), _source(device, driver)
    wanted = [os.urandom(64) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        bundles = pool.map(lambda source, data: source.collect(data), [one, two] * 8, wanted)
        assert [SnpReport.from_bytes(bundle.evidence).report_data for bundle in bundles] == wanted


@pytest.mark.parametrize(("current", "asked"), [(0, 0), (0, 3), (2, 2)])
def test_the_vmpl_is_asked_for(device: Path, current: int, asked: int) -> None:
    driver = SevGuest(current_vmpl=current)
    _source(device, driver, vmpl=asked).collect(bytes(64))
    assert driver.asked[0]["vmpl"] == asked


def test_a_vmpl_above_ones_own_is_the_firmwares_to_refuse(device: Path) -> None:
    with pytest.raises(Unavailable, match="status 0x16: invalid parameters"):
        _source(device, SevGuest(current_vmpl=2), vmpl=1).collect(bytes(64))


@pytest.mark.parametrize("vmpl", [-1, 4])
def test_there_are_four_vmpls(device: Path, vmpl: int) -> None:
    with pytest.raises(Malformed, match="VMPL: expected 0 to 3"):
        SevGuestSource(device, vmpl=vmpl)


# ---- the length of the table


def _large(bundle_bytes: int) -> bytes:
    """A table of one entry that nobody knows, so that it is long and offers nothing."""
    return certificate_table(("00000000-0000-0000-0000-000000000001", bytes(bundle_bytes)))


def test_the_first_request_has_room_for_all_that_the_driver_takes(device: Path) -> None:
    driver = SevGuest()
    _source(device, driver).collect(bytes(64))
    assert driver.asked[0]["room"] == MAX_TABLE


def test_a_host_that_has_more_is_given_what_it_needs(device: Path) -> None:
    driver = SevGuest(max_table=16 * PAGE, table=_large(5 * PAGE))
    _source(device, driver).collect(bytes(64))
    assert [asked["room"] for asked in driver.asked] == [4 * PAGE, 6 * PAGE]


def test_a_host_that_asks_for_more_than_anybody_takes_is_refused(device: Path) -> None:
    driver = SevGuest(max_table=1000 * PAGE, table_pages=65)
    with pytest.raises(Unavailable, match=f"asks for {65 * PAGE} bytes"):
        _source(device, driver).collect(bytes(64))
    assert len(driver.asked) == 1


def test_a_host_that_is_never_content_is_refused(device: Path) -> None:
    class Never(SevGuest):
        """Says that there was too little room, and asks for as much as there was."""

        def ioctl(self, request: int, argument: int, memory: Any) -> None:
            self.max_table = 0x100000
            self.answers = [(errno.EIO, 1)]
            super().ioctl(request, argument, memory)

    driver = Never()
    with pytest.raises(Unavailable, match="having been given"):
        _source(device, driver).collect(bytes(64))
    assert len(driver.asked) == 1


# ---- errors


@pytest.mark.parametrize(
    "answer",
    [(errno.EAGAIN, 0), (errno.EBUSY, 0), (errno.EINTR, 0), (errno.EIO, 2)],
    ids=["EAGAIN", "EBUSY", "EINTR", "host-busy"],
)
def test_a_throttled_request_is_made_again(device: Path, answer: tuple[int, int]) -> None:
    driver = SevGuest(answers=[answer, answer])
    report_data = os.urandom(64)
    bundle = _source(device, driver).collect(report_data)
    assert SnpReport.from_bytes(bundle.evidence).report_data == report_data
    assert len(driver.asked) == 3


def test_a_host_that_always_throttles_is_given_up_on(device: Path) -> None:
    driver = SevGuest(answers=[(errno.EBUSY, 0)] * 100)
    with pytest.raises(Unavailable, match="throttled") as refusal:
        _source(device, driver).collect(bytes(64))
    assert refusal.value.code == "device_busy"
    assert len(driver.asked) == 6


def test_a_host_that_wants_room_for_certificates_that_nobody_asked_for_is_refused(device: Path) -> None:
    driver = SevGuest(answers=[(errno.EIO, 1)])
    with pytest.raises(Unavailable, match="which nobody asked it for"):
        _source(device, driver, certificates=False).collect(bytes(64))
    assert len(driver.asked) == 1


def test_an_error_of_the_firmware_is_told_and_not_asked_again(device: Path) -> None:
    driver = SevGuest(answers=[(errno.EIO, 0)])
    with pytest.raises(Unavailable, match="firmware error 0x1234, host error 0x0"):
        _source(device, driver).collect(bytes(64))
    assert len(driver.asked) == 1


def test_a_guest_without_its_message_key_is_told_what_brings_it_back(device: Path) -> None:
    with pytest.raises(Unavailable, match="no message key") as refusal:
        _source(device, SevGuest(key_is_gone=True)).collect(bytes(64))
    assert "new boot" in refusal.value.fix


def test_another_error_is_the_kernels_word(device: Path) -> None:
    with pytest.raises(Unavailable, match="timed out"):
        _source(device, SevGuest(answers=[(errno.ETIMEDOUT, 0)])).collect(bytes(64))


@pytest.mark.parametrize(("status", "reason"), [(0x27, "key selection"), (0x99, "no report")])
def test_a_status_of_the_firmware_is_no_report(device: Path, status: int, reason: str) -> None:
    with pytest.raises(Unavailable, match=f"status {status:#x}: .*{reason}"):
        _source(device, SevGuest(status=status)).collect(bytes(64))


@pytest.mark.parametrize("length", [0, 1183, 1185, 4000, 2**32 - 1])
def test_a_report_of_another_length_is_refused(device: Path, length: int) -> None:
    with pytest.raises(Unavailable, match=f"{length} bytes instead of 1184"):
        _source(device, SevGuest(length=length)).collect(bytes(64))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(device: Path, length: int) -> None:
    driver = SevGuest()
    with pytest.raises(Malformed, match="expected 64 bytes"):
        _source(device, driver).collect(bytes(length))
    assert not driver.asked


def test_a_machine_without_the_device(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        SevGuestSource(tmp_path / "absent").collect(bytes(64))


def test_the_report_is_the_firmwares_to_the_byte(device: Path) -> None:
    made = issue(report_data=bytes(64))
    driver = SevGuest(issue=lambda report_data: made)
    assert _source(device, driver).collect(bytes(64)).evidence == made.evidence


def test_a_report_over_other_report_data_is_refused(device: Path) -> None:
    made = issue(report_data=bytes(64))
    source = _source(device, SevGuest(issue=lambda report_data: made))
    source.collect(bytes(64))
    with pytest.raises(Unavailable, match="other report data") as refusal:
        source.collect(bytes(63) + b"\1")
    assert refusal.value.code == "device_disturbed"
