"""The collector inside Gramine, on files that behave as Gramine's (FUSE)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from collector_support import mounted, needs_fuse
from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SGX, SgxQuote
from hermetic.sources.gramine import GramineSource
from quote_support import sgx_bundle, verified

_GRAMINE = Path(__file__).with_name("gramine_enclave.py")

Mount = Callable[..., Path]


@pytest.fixture(scope="module")
def enclaves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with mounted(_GRAMINE, tmp_path_factory.mktemp("enclaves")) as folder:
        yield folder


@pytest.fixture(scope="module")
def enclave(enclaves: Path) -> Mount:
    """An enclave of its own for each call, that behaves as its words say."""
    numbers = count()
    return lambda *knobs: enclaves / ",".join((*knobs, f"enclave={next(numbers)}"))


@needs_fuse
def test_what_is_collected_verifies(enclave: Mount) -> None:
    report_data = os.urandom(64)
    source = GramineSource(enclave())
    bundle = source.collect(report_data)
    verified(bundle, report_data)
    assert source.tee == bundle.tee == SGX
    assert (dict(bundle.endorsements), dict(bundle.event_logs)) == ({}, {})


@needs_fuse
def test_threads_and_objects_get_their_own_quotes(enclave: Mount) -> None:
    folder = enclave()
    one, two = GramineSource(folder), GramineSource(folder)
    wanted = [os.urandom(64) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        bundles = pool.map(lambda source, data: source.collect(data), [one, two] * 8, wanted)
        assert [SgxQuote.from_bytes(bundle.evidence).body.report_data for bundle in bundles] == wanted


@needs_fuse
def test_somebody_elses_quote_is_refused(enclave: Mount) -> None:
    source = GramineSource(enclave("intruder=1"))
    with pytest.raises(Unavailable, match="other report data") as refusal:
        source.collect(bytes(64))
    assert refusal.value.code == "device_disturbed"
    source.collect(bytes(64))


@needs_fuse
@pytest.mark.parametrize("kind", ["none", "epid", "dcap2", ""])
def test_another_kind_of_attestation_is_refused_and_the_manifest_named(enclave: Mount, kind: str) -> None:
    with pytest.raises(Unavailable, match=f"attests by '{kind}'") as refusal:
        GramineSource(enclave(f"type={kind}")).collect(bytes(64))
    assert 'sgx.remote_attestation = "dcap"' in refusal.value.fix


@needs_fuse
def test_report_data_that_is_taken_in_part_is_no_request(enclave: Mount) -> None:
    with pytest.raises(Unavailable, match="only a part"):
        GramineSource(enclave("partial=63")).collect(bytes(64))


@needs_fuse
def test_an_enclave_that_makes_no_quote_is_told(enclave: Mount) -> None:
    with pytest.raises(Unavailable, match="Permission denied"):
        GramineSource(enclave("fails=1")).collect(bytes(64))


@needs_fuse
def test_a_quote_without_end_is_not_read(enclave: Mount) -> None:
    with pytest.raises(Unavailable, match="quote is larger than 16384"):
        GramineSource(enclave("padding=16384")).collect(bytes(64))


def test_plain_files_that_answer_nothing_are_refused(tmp_path: Path) -> None:
    """A folder of files is no enclave: what lies there is over other report data."""
    (tmp_path / "attestation_type").write_text("dcap")
    (tmp_path / "user_report_data").touch()
    (tmp_path / "quote").write_bytes(sgx_bundle(b"\1" * 64).evidence)
    with pytest.raises(Unavailable, match="other report data"):
        GramineSource(tmp_path).collect(bytes(64))


def test_a_machine_without_gramine(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        GramineSource(tmp_path / "absent").collect(bytes(64))


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        GramineSource(tmp_path).collect(bytes(length))
