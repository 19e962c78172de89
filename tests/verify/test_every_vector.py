"""No recorded file is without a verdict: each one, wherever it lies, has its entry in one of the expect files.

Every such file is judged by the test module that reads its entry, at the time that the entry gives.
"""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from vectors import ROOT, needs_vectors

pytestmark = needs_vectors

HERE, RECORDED = Path(__file__).parent, ROOT / "attestation"
READERS = {
    "expect.toml": "test_snp_recorded.py",
    "expect_intel.toml": "test_dcap_recorded.py",
    "expect_nvidia.toml": "test_nvidia_recorded.py",
    "expect_eventlogs.toml": "test_event_logs.py",
}
FOLDERS = {
    "sev-snp": "expect.toml",
    "roots/amd": "expect.toml",
    "tdx": "expect_intel.toml",
    "sgx": "expect_intel.toml",
    "intel-collateral": "expect_intel.toml",
    "roots/intel": "expect_intel.toml",
    "nvidia": "expect_nvidia.toml",
    "roots/nvidia": "expect_nvidia.toml",
    "tdx-eventlogs": "expect_eventlogs.toml",
}


def entries(value: object) -> Iterator[dict[str, object]]:
    """Every table of an expect file."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from entries(part)


def named(expect: str) -> set[str]:
    """The recorded files that an expect file has entries of."""
    tables = entries(tomllib.loads((HERE / expect).read_text(encoding="utf-8")))
    texts = {value for table in tables for value in table.values() if isinstance(value, str)}
    return {text for text in texts if (RECORDED / text).is_file()}


def present(folder: str) -> set[str]:
    return {str(path.relative_to(RECORDED)) for path in (RECORDED / folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(("folder", "expect"), FOLDERS.items())
def test_every_file_that_lies_there_has_an_entry(folder: str, expect: str) -> None:
    assert present(folder)
    assert present(folder) - named(expect) == set()


def test_every_file_is_of_known_origin() -> None:
    with (RECORDED / "PROVENANCE.tsv").open(encoding="utf-8", newline="") as file:
        origin = {row["file"]: row["sha256"] for row in csv.DictReader(file, delimiter="\t")}
    for name in sorted(set().union(*map(present, FOLDERS))):
        assert hashlib.sha256((RECORDED / name).read_bytes()).hexdigest() == origin.get(name), name


@pytest.mark.parametrize(("expect", "module"), READERS.items())
def test_every_expect_file_has_a_module_that_reads_it(expect: str, module: str) -> None:
    assert f'"{expect}"' in (HERE / module).read_text(encoding="utf-8")
    assert sorted(path.name for path in HERE.glob("expect*.toml")) == sorted(READERS)
