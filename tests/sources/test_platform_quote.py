"""What is done with every quote that is collected, and the firmware's event log beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_log_support import CCEL
from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, SGX, TDX
from hermetic.sources.ccel import read_ccel
from hermetic.sources.quote import exact_quote, quote_bundle
from hermetic.sources.simulator.tdx_platform import TdxPlatform
from quote_support import LAUNCH, intel, sgx_bundle, tdx_bundle
from snp_support import NOW

_TDX4 = intel().issue(bytes(64), tee=TDX, launch_digest=LAUNCH, now=NOW, platform=TdxPlatform(version=4)).evidence
_QUOTES = {"SGX, version 3": sgx_bundle(bytes(64)).evidence, "TDX, version 4": _TDX4}
_QUOTES["TDX, version 5"] = tdx_bundle(bytes(64)).evidence


@pytest.mark.parametrize("name", list(_QUOTES))
@pytest.mark.parametrize("padding", [0, 1, 4000])
def test_zeros_behind_a_quote_are_cut_off(name: str, padding: int) -> None:
    assert exact_quote(_QUOTES[name] + bytes(padding)) == _QUOTES[name]


@pytest.mark.parametrize("name", list(_QUOTES))
def test_anything_else_behind_a_quote_is_left_for_the_parser_to_refuse(name: str) -> None:
    data = _QUOTES[name] + bytes(10) + b"\1"
    assert exact_quote(data) == data
    with pytest.raises(Malformed):
        quote_bundle(name[:3].lower(), data, report_data=bytes(64))


@given(data=st.binary(max_size=1000))
def test_arbitrary_bytes_lose_nothing_but_zeros(data: bytes) -> None:
    exact = exact_quote(data)
    assert data.startswith(exact)
    assert not any(data[len(exact) :])


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 53, 432, 435, 632, 635])
@pytest.mark.parametrize("name", list(_QUOTES))
def test_a_quote_that_ends_early_is_refused(name: str, length: int) -> None:
    with pytest.raises(Malformed):
        quote_bundle(name[:3].lower(), _QUOTES[name][:length], report_data=bytes(64))


@pytest.mark.parametrize(("tee", "make"), [(TDX, tdx_bundle), (SGX, sgx_bundle)], ids=["tdx", "sgx"])
def test_a_quote_is_of_this_request_or_refused(tee: str, make: type) -> None:
    report_data = os.urandom(64)
    quote = make(report_data).evidence
    assert quote_bundle(tee, quote, report_data=report_data).evidence == quote
    with pytest.raises(Unavailable, match="other report data"):
        quote_bundle(tee, quote, report_data=bytes(64))


def test_one_tees_quote_is_not_taken_for_the_others() -> None:
    with pytest.raises(Malformed):
        quote_bundle(TDX, _QUOTES["SGX, version 3"], report_data=bytes(64))
    with pytest.raises(Malformed):
        quote_bundle(SGX, _QUOTES["TDX, version 5"], report_data=bytes(64))


def test_a_report_is_no_quote() -> None:
    with pytest.raises(Malformed, match="sev-snp evidence is no quote"):
        quote_bundle(SEV_SNP, b"", report_data=bytes(64))


# ---- the firmware's event log


@pytest.mark.parametrize("padding", [b"", bytes(100), b"\xff" * 100], ids=["none", "zeros", "ones"])
def test_a_log_is_read_whole_and_its_padding_left_out(tmp_path: Path, padding: bytes) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(CCEL + padding)
    assert read_ccel(log) == {"ccel": CCEL}


def test_a_machine_without_a_log_has_none(tmp_path: Path) -> None:
    assert read_ccel(tmp_path / "absent") == {}
    assert read_ccel(None) == {}
    (tmp_path / "empty").touch()
    assert read_ccel(tmp_path / "empty") == {}


def test_a_log_that_cannot_be_read_is_no_absence(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_ccel(tmp_path)
    (tmp_path / "CCEL").write_bytes(CCEL[:-1])
    with pytest.raises(Malformed):
        read_ccel(tmp_path / "CCEL")


def test_a_log_without_end_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(CCEL.ljust(1024 * 1024, b"\0"))
    assert read_ccel(log) == {"ccel": CCEL}
    log.write_bytes(CCEL.ljust(1024 * 1024 + 1, b"\0"))
    with pytest.raises(Unavailable, match="larger than 1048576"):
        read_ccel(log)
