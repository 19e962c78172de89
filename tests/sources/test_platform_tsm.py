"""The configfs-tsm collector, on a folder that behaves as the kernel's (FUSE)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SnpReport
from hermetic.sources.tsm import TsmSource
from hermetic.verify import simulated_root, verify
from hermetic.wire import sha256_digest
from snp_support import NOW

_KERNEL = Path(__file__).with_name("tsm_kernel.py")

_FUSE = os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3") and find_spec("mfusepy")

needs_fuse = pytest.mark.skipif(not _FUSE, reason="FUSE is not available")

Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    folder = tmp_path / "report"
    folder.mkdir()
    started: list[subprocess.Popen[bytes]] = []

    def start(*knobs: str) -> Path:
        started.append(subprocess.Popen([sys.executable, _KERNEL, folder, *knobs]))
        deadline = time.monotonic() + 30
        while not os.path.ismount(folder):
            assert started[0].poll() is None, "the folder could not be mounted"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return folder

    yield start
    if started:
        subprocess.run(["fusermount3", "-u", "-z", folder], check=True)
        started[0].wait(30)


@needs_fuse
def test_what_is_collected_verifies(mount: Mount) -> None:
    folder = mount()
    report_data = os.urandom(64)
    bundle = TsmSource(folder).collect(report_data)
    root = simulated_root(sha256_digest(bundle.endorsements["root"]))  # of the vendor behind this kernel
    verify(bundle, roots=(root,), now=NOW, report_data=report_data)
    assert os.listdir(folder) == [], "the entry is removed"


@needs_fuse
def test_concurrent_requests_get_their_own_report_data(mount: Mount) -> None:
    folder = mount()
    one, two = TsmSource(folder), TsmSource(folder)
    wanted = [os.urandom(64) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        sources = [one, two] * (len(wanted) // 2)
        bundles = pool.map(lambda source, data: source.collect(data), sources, wanted)
        assert [SnpReport.from_bytes(bundle.evidence).report_data for bundle in bundles] == wanted
    assert os.listdir(folder) == []


@needs_fuse
@pytest.mark.parametrize("knob", ["busy=2", "intruder=2"])
def test_a_disturbed_request_is_tried_again(mount: Mount, knob: str) -> None:
    report_data = os.urandom(64)
    bundle = TsmSource(mount(knob)).collect(report_data)
    assert SnpReport.from_bytes(bundle.evidence).report_data == report_data


@needs_fuse
@pytest.mark.parametrize("knob", ["busy=99", "intruder=99"])
def test_a_request_that_is_always_disturbed_ends(mount: Mount, knob: str) -> None:
    folder = mount(knob)
    with pytest.raises(Unavailable, match="disturbed or found the firmware busy"):
        TsmSource(folder).collect(bytes(64))
    assert os.listdir(folder) == []


@needs_fuse
def test_another_kind_of_tee_is_refused(mount: Mount) -> None:
    folder = mount("provider=tdx_guest")
    with pytest.raises(Unavailable, match="'tdx_guest'"):
        TsmSource(folder).collect(bytes(64))
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


def test_a_machine_without_configfs(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        TsmSource(tmp_path / "absent").collect(bytes(64))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        TsmSource(tmp_path).collect(bytes(length))
