"""Allow-lists in files of their own: read when the policy is loaded, and part of what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from hermetic.errors import Misconfigured
from hermetic.policy import PlatformPolicy, appraise_platform
from hermetic.policy.lists import Files
from hermetic.sources.simulator.sgx_platform import SIMULATED_ENCLAVE, SgxPlatform
from hermetic.sources.simulator.tdx_platform import SIMULATED_TD_MEASUREMENT, TdxPlatform
from hermetic.verify import PlatformClaims
from hermetic.wire import sha256_digest
from policy_support import devices, intel, intel_claims, parse
from snp_support import claims as snp_claims
from snp_support import simulated


@dataclass(frozen=True, kw_only=True)
class Case:
    """A table, the list that it keeps in a file, what that may hold, and what it lets through."""

    head: str
    knob: str
    mine: str
    other: str
    check: str
    platform: PlatformClaims | None = None

    def text(self, extra: str = "") -> str:
        return f'{self.head}{self.knob}_file = "list.txt"\n{extra}'

    @property
    def table(self) -> str:
        return self.head.partition("]")[0].removeprefix("[")


CASES = {
    "snp": Case(
        head=f'[snp]\nmeasurements = ["{"00" * 48}"]\n',
        knob="chip_ids",
        mine=simulated().chip_id.hex(),
        other="00" * 64,
        check="policy.snp.chip-id",
        platform=snp_claims(),
    ),
    "tdx": Case(
        head=f'[tdx]\nmr_tds = ["{SIMULATED_TD_MEASUREMENT.hex()}"]\n',
        knob="ppids",
        mine=intel().ppid.hex(),
        other="00" * 16,
        check="policy.tdx.ppid",
        platform=intel_claims(TdxPlatform()),
    ),
    "sgx": Case(
        head=f'[sgx]\nmr_enclaves = ["{SIMULATED_ENCLAVE.hex()}"]\n',
        knob="ppids",
        mine=intel().ppid.hex(),
        other="00" * 16,
        check="policy.sgx.ppid",
        platform=intel_claims(SgxPlatform()),
    ),
    "nvidia": Case(
        head="[nvidia]\ngpus = 1\n",
        knob="ueids",
        mine=devices()[0].ueid,
        other="1",
        check="policy.nvidia.gpu0.ueid",
    ),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))


def files(contents: Mapping[str, bytes]) -> Files:
    return lambda name: contents[name]


def loaded(case: Case, listed: str, extra: str = "") -> PlatformPolicy:
    return parse(case.text(extra), files=files({"list.txt": listed.encode()}))


def outcome(case: Case, policy: PlatformPolicy) -> tuple[str, str]:
    gpus = () if case.platform is not None else devices()
    (check,) = (made for made in appraise_platform(case.platform, gpus, policy) if made.name == case.check)
    return check.outcome, check.expected


@each
def test_what_the_file_lists_is_accepted(case: Case) -> None:
    assert outcome(case, loaded(case, f"{case.mine}\n"))[0] == "pass"
    assert outcome(case, loaded(case, f"{case.other}\n"))[0] == "fail"


@each
def test_the_file_joins_what_the_policy_lists_itself(case: Case) -> None:
    own = f'{case.knob} = ["{case.mine}"]\n'
    assert outcome(case, loaded(case, case.other, own))[0] == "pass"
    assert outcome(case, loaded(case, case.mine, own.replace(case.mine, case.other)))[0] == "pass"


@each
def test_the_verdict_names_the_file_and_its_digest(case: Case) -> None:
    listed = f"{case.mine}\n"
    policy = loaded(case, listed)
    (file,) = policy.files
    assert file.field == f"{case.table}.{case.knob}_file"
    assert (file.name, file.digest) == ("list.txt", sha256_digest(listed.encode()))
    assert outcome(case, policy)[1].endswith(f"; list.txt {file.digest}")


def test_other_checks_name_no_file() -> None:
    case = CASES["tdx"]
    checks = appraise_platform(case.platform, (), loaded(case, case.mine))
    assert [check.name for check in checks if "list.txt" in check.expected] == [case.check]


@each
def test_another_list_is_another_policy(case: Case) -> None:
    policies = {loaded(case, f"{case.mine}\n").digest, loaded(case, f"{case.mine}\n\n").digest}
    assert len(policies) == 2
    assert loaded(case, f"{case.mine}\n").digest in policies
    assert sha256_digest(f'version = 1\nprofile = "development"\n{case.text()}'.encode()) not in policies


@each
def test_comments_and_blank_lines_list_nothing(case: Case) -> None:
    listed = f"# {case.other}\n\n  {case.mine}   # rack 4\r\n"
    assert outcome(case, loaded(case, listed))[0] == "pass"
    with pytest.raises(Misconfigured) as refusal:
        loaded(case, f"# {case.mine}\n\n")
    assert refusal.value.code == "policy_file_empty"


@each
@pytest.mark.parametrize(
    "listed", ["what is this", "00", "\x00", "not ascii: ß"], ids=["words", "short", "nul", "letters"]
)
def test_what_no_list_can_hold(case: Case, listed: str) -> None:
    if case.knob == "ueids" and listed == "00":
        listed = "0x00"
    with pytest.raises(Misconfigured) as refusal:
        loaded(case, listed)
    assert refusal.value.code == "policy_file_malformed"
    assert "list.txt" in refusal.value.message


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(Misconfigured, match="not a text file"):
        parse(CASES["tdx"].text(), files=files({"list.txt": b"\xff"}))


def test_a_file_that_is_too_large() -> None:
    listed = b"#" * (4 * 1024 * 1024)
    case = CASES["tdx"]
    with pytest.raises(Misconfigured) as refusal:
        parse(case.text(), files=files({"list.txt": listed + b"#"}))
    assert refusal.value.code == "policy_file_malformed"
    with pytest.raises(Misconfigured) as refusal:
        parse(case.text(), files=files({"list.txt": listed}))
    assert refusal.value.code == "policy_file_empty"


@each
def test_a_policy_that_came_alone_names_no_files(case: Case) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(case.text())
    assert refusal.value.code == "policy_file_unreadable"


@pytest.mark.parametrize("name", ["/etc/hostname", "../list.txt", "a/../../list.txt", "..\\\\list.txt", "list\\u0000"])
def test_a_name_that_leads_elsewhere(name: str) -> None:
    text = CASES["tdx"].text().replace('"list.txt"', f'"{name}"')
    with pytest.raises(Misconfigured) as refusal:
        parse(text, files=lambda _: CASES["tdx"].mine.encode())
    assert refusal.value.code == "policy_file_elsewhere"


def test_files_lie_beside_the_policy(tmp_path: Path) -> None:
    case = CASES["tdx"]
    path = tmp_path / "policy.toml"
    path.write_text(f'version = 1\nprofile = "development"\n{case.text()}'.replace("list.txt", "lists/mine.txt"))
    with pytest.raises(Misconfigured) as refusal:
        PlatformPolicy.load(path)
    assert refusal.value.code == "policy_file_unreadable"
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "mine.txt").write_text(case.mine)
    assert outcome(case, PlatformPolicy.load(path))[0] == "pass"


def test_long_lists_are_counted_and_short_ones_spelt_out() -> None:
    case = CASES["tdx"]
    long = "\n".join(f"{number:032x}" for number in range(9))
    assert outcome(case, loaded(case, long))[1].startswith("one of 9 that the policy lists; ")
    assert outcome(case, loaded(case, case.mine))[1].startswith(f"{case.mine}; ")


def test_each_check_names_its_own_file_and_no_other() -> None:
    tdx, gpu = CASES["tdx"], CASES["nvidia"]
    text = tdx.text() + gpu.text().replace("list.txt", "gpus.txt")
    policy = parse(text, files=files({"list.txt": tdx.mine.encode(), "gpus.txt": gpu.mine.encode()}))
    checks = appraise_platform(tdx.platform, devices(), policy)
    named = {check.name: check.expected.rpartition("; ")[2].split()[0] for check in checks if "; " in check.expected}
    assert named == {tdx.check: "list.txt", gpu.check: "gpus.txt"}


def test_one_tables_file_is_not_anothers() -> None:
    tdx, sgx = CASES["tdx"], CASES["sgx"]
    policy = parse(tdx.text() + sgx.head + f'ppids = ["{sgx.mine}"]\n', files=files({"list.txt": tdx.mine.encode()}))
    checks = {check.name: check.expected for check in appraise_platform(sgx.platform, (), policy)}
    assert checks[sgx.check] == sgx.mine
