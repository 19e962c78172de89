"""The configfs-tsm collector, on a folder that behaves as the kernel's (FUSE)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from collector_support import mounted, needs_fuse
from event_log_support import CCEL
from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, TDX, SnpReport, TdxQuote
from hermetic.sources.tsm import TsmSource
from hermetic.verify import simulated_root, verify
from hermetic.wire import sha256_digest
from quote_support import verified
from snp_support import NOW

_KERNEL = Path(__file__).with_name("tsm_kernel.py")
_TDX = "provider=tdx_guest"


Mount = Callable[..., Path]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(_KERNEL, tmp_path_factory.mktemp("kernels")) as folder:
        yield folder


@pytest.fixture(scope="module")
def mount(kernels: Path) -> Mount:
    """A machine of its own for each call, that behaves as its words say."""
    numbers = count()
    return lambda *knobs: kernels / ",".join((*knobs, f"machine={next(numbers)}"))


@needs_fuse
def test_a_report_that_is_collected_verifies(mount: Mount) -> None:
    folder = mount()
    report_data = os.urandom(64)
    source = TsmSource(folder)
    bundle = source.collect(report_data)
    root = simulated_root(sha256_digest(bundle.endorsements["root"]))  # of the vendor behind this kernel
    verify(bundle, roots=(root,), now=NOW, report_data=report_data)
    assert source.tee == bundle.tee == SEV_SNP
    assert os.listdir(folder) == [], "the entries are removed"


@needs_fuse
@pytest.mark.parametrize("knobs", [(), ("padding=4096",)], ids=["exact", "padded"])
def test_a_quote_that_is_collected_verifies(mount: Mount, knobs: tuple[str, ...]) -> None:
    folder = mount(_TDX, *knobs)
    report_data = os.urandom(64)
    source = TsmSource(folder, ccel=None)
    bundle = source.collect(report_data)
    verified(bundle, report_data)
    assert source.tee == bundle.tee == TDX
    assert (dict(bundle.endorsements), dict(bundle.event_logs)) == ({}, {})
    assert os.listdir(folder) == []


@needs_fuse
def test_the_firmwares_event_log_goes_with_a_quote_and_not_with_a_report(mount: Mount, tmp_path: Path) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(CCEL + bytes(100))
    assert dict(TsmSource(mount(_TDX), ccel=log).collect(bytes(64)).event_logs) == {"ccel": CCEL}


@needs_fuse
def test_a_report_has_no_event_log(mount: Mount, tmp_path: Path) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(CCEL + bytes(100))
    assert dict(TsmSource(mount(), ccel=log).collect(bytes(64)).event_logs) == {}


@needs_fuse
@pytest.mark.parametrize("provider", ["sev_guest", "tdx_guest"])
def test_concurrent_requests_get_their_own_report_data(mount: Mount, provider: str) -> None:
    folder = mount(f"provider={provider}")
    one, two = TsmSource(folder, ccel=None), TsmSource(folder, ccel=None)
    wanted = [os.urandom(64) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        sources = [one, two] * (len(wanted) // 2)
        bundles = pool.map(lambda source, data: source.collect(data), sources, wanted)
        assert [_report_data(bundle.tee, bundle.evidence) for bundle in bundles] == wanted
    assert os.listdir(folder) == []


def _report_data(tee: str, evidence: bytes) -> bytes:
    return TdxQuote.from_bytes(evidence).body.report_data if tee == TDX else SnpReport.from_bytes(evidence).report_data


@needs_fuse
@pytest.mark.parametrize("knob", ["busy=2", "intruder=2"])
@pytest.mark.parametrize("provider", ["sev_guest", "tdx_guest"])
def test_a_disturbed_request_is_tried_again(mount: Mount, provider: str, knob: str) -> None:
    report_data = os.urandom(64)
    bundle = TsmSource(mount(f"provider={provider}", knob), ccel=None).collect(report_data)
    assert _report_data(bundle.tee, bundle.evidence) == report_data


@needs_fuse
@pytest.mark.parametrize("knob", ["busy=99", "intruder=99"])
@pytest.mark.parametrize("provider", ["sev_guest", "tdx_guest"])
def test_a_request_that_is_always_disturbed_ends(mount: Mount, provider: str, knob: str) -> None:
    folder = mount(f"provider={provider}", knob)
    with pytest.raises(Unavailable, match="disturbed or found the firmware busy"):
        TsmSource(folder, ccel=None).collect(bytes(64))
    assert os.listdir(folder) == []


@needs_fuse
def test_report_data_that_is_taken_in_part_is_no_request(mount: Mount) -> None:
    folder = mount("partial=63")
    with pytest.raises(Unavailable, match="only a part"):
        TsmSource(folder).collect(bytes(64))
    assert os.listdir(folder) == []


@needs_fuse
def test_another_kind_of_tee_is_refused(mount: Mount) -> None:
    folder = mount("provider=arm_cca_guest")
    with pytest.raises(Unavailable, match="'arm_cca_guest'"):
        TsmSource(folder).collect(bytes(64))
    with pytest.raises(Unavailable, match="'arm_cca_guest'"):
        _ = TsmSource(folder).tee
    assert os.listdir(folder) == []


@needs_fuse
def test_a_firmware_that_hangs_is_given_up_on(mount: Mount) -> None:
    source = TsmSource(mount("hang=1"), timeout=0.05)
    with pytest.raises(Unavailable, match=r"within 0\.05 s"):
        source.collect(bytes(64))


@needs_fuse
def test_a_host_without_a_certificate_table_offers_no_endorsements(mount: Mount) -> None:
    bundle = TsmSource(mount("table=none")).collect(bytes(64))
    assert dict(bundle.endorsements) == {}


@needs_fuse
@pytest.mark.parametrize("text", ["", "-1", "1.0", "new"])
def test_a_generation_that_is_no_number_is_refused(mount: Mount, text: str) -> None:
    folder = mount(f"generation={text}")
    with pytest.raises(Unavailable, match="no number"):
        TsmSource(folder).collect(bytes(64))
    assert os.listdir(folder) == []


@needs_fuse
@pytest.mark.parametrize("provider", ["sev_guest", "tdx_guest"])
def test_evidence_over_other_report_data_is_refused(mount: Mount, provider: str) -> None:
    folder = mount(f"provider={provider}", "stranger=1")
    TsmSource(folder, ccel=None).collect(bytes(64))
    with pytest.raises(Unavailable, match="other report data") as refusal:
        TsmSource(folder, ccel=None).collect(bytes(63) + b"\1")
    assert refusal.value.code == "device_disturbed"
    assert os.listdir(folder) == []


@needs_fuse
def test_an_answer_without_end_is_not_read(mount: Mount) -> None:
    with pytest.raises(Unavailable, match="outblob is larger than 65536"):
        TsmSource(mount("padding=65536")).collect(bytes(64))


@needs_fuse
def test_a_generation_that_did_not_change_says_that_nothing_was_asked(mount: Mount) -> None:
    with pytest.raises(Unavailable, match="disturbed"):
        TsmSource(mount("deaf=1")).collect(bytes(64))


def test_a_machine_without_configfs(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        TsmSource(tmp_path / "absent").collect(bytes(64))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        TsmSource(tmp_path).collect(bytes(length))
