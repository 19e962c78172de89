"""The SEV-SNP report: what parses comes back byte for byte, and what is malformed does not parse (SNP 1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import (
    Cpuid,
    EcdsaSignature,
    FirmwareVersion,
    GuestPolicy,
    GuestPolicyFlag,
    PlatformFlag,
    PlatformInfo,
    SigningKey,
    SnpReport,
    TcbVersion,
    parse_evidence,
)
from hermetic.sources.simulator.snp_platform import SnpPlatform
from snp_support import RECORDED, issue
from vectors import needs_vectors

u8, u32, u64, scalar = (st.integers(min_value=0, max_value=2**bits - 1) for bits in (8, 32, 64, 384))
tcbs = st.binary(min_size=8, max_size=8).map(lambda raw: TcbVersion(raw=raw))
firmware = st.builds(FirmwareVersion, major=u8, minor=u8, build=u8)


def of(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


@st.composite
def reports(draw: st.DrawFn) -> SnpReport:
    """Any report that the format can express."""
    version = draw(st.integers(min_value=2, max_value=5))
    vectors = u64 if version >= 5 else st.none()
    return SnpReport(
        version=version,
        guest_svn=draw(u32),
        policy=draw(u64.map(GuestPolicy.from_int)),
        family_id=draw(of(16)),
        image_id=draw(of(16)),
        vmpl=draw(u32),
        current_tcb=draw(tcbs),
        platform_info=draw(u64.map(PlatformInfo.from_int)),
        author_key_en=draw(st.booleans()),
        mask_chip_key=draw(st.booleans()),
        signing_key=draw(st.sampled_from(SigningKey)),
        report_data=draw(of(64)),
        measurement=draw(of(48)),
        host_data=draw(of(32)),
        id_key_digest=draw(of(48)),
        author_key_digest=draw(of(48)),
        report_id=draw(of(32)),
        report_id_ma=draw(of(32)),
        reported_tcb=draw(tcbs),
        cpuid=draw(st.builds(Cpuid, family=u8, model=u8, stepping=u8)) if version >= 3 else None,
        chip_id=draw(of(64)),
        committed_tcb=draw(tcbs),
        current_firmware=draw(firmware),
        committed_firmware=draw(firmware),
        launch_tcb=draw(tcbs),
        launch_mitigations=draw(vectors),
        current_mitigations=draw(vectors),
        signature=EcdsaSignature(r=draw(scalar), s=draw(scalar)),
    )


@given(reports())
def test_a_report_comes_back_as_it_was_written(report: SnpReport) -> None:
    data = report.to_bytes()
    assert len(data) == 0x4A0
    assert data[:0x2A0] == report.signed_bytes()
    assert SnpReport.from_bytes(data) == report


@given(u64)
def test_no_policy_bit_is_lost(value: int) -> None:
    assert GuestPolicy.from_int(value).to_int() == value
    assert PlatformInfo.from_int(value).to_int() == value


@given(st.binary(min_size=0x4A0, max_size=0x4A0) | st.binary(max_size=64))
def test_arbitrary_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Malformed):
        SnpReport.from_bytes(data)


def _healthy(version: int) -> bytearray:
    return bytearray(issue(platform=SnpPlatform(version=version)).evidence)


@pytest.mark.parametrize(
    ("version", "offset", "value"),
    [
        pytest.param(5, 0x000, b"\x01", id="version 1"),
        pytest.param(5, 0x000, b"\x06", id="version 6"),
        pytest.param(5, 0x001, b"\x01", id="a version beyond a byte"),
        pytest.param(5, 0x034, b"\x00", id="signature algorithm 0"),
        pytest.param(5, 0x034, b"\x02", id="signature algorithm 2"),
        pytest.param(5, 0x048, b"\x08", id="signing key 2 is reserved"),
        pytest.param(5, 0x048, b"\x20", id="reserved flag 5"),
        pytest.param(5, 0x04B, b"\x80", id="reserved flag 31"),
        pytest.param(5, 0x04C, b"\x01", id="reserved at 0x4C"),
        pytest.param(5, 0x18B, b"\x01", id="first reserved byte after CPUID"),
        pytest.param(5, 0x19F, b"\x01", id="last reserved byte after CPUID"),
        pytest.param(5, 0x1EB, b"\x01", id="reserved beside the current firmware"),
        pytest.param(5, 0x1EF, b"\x01", id="reserved beside the committed firmware"),
        pytest.param(5, 0x208, b"\x01", id="first reserved byte after the mitigations"),
        pytest.param(5, 0x29F, b"\x01", id="last reserved byte of the signed part"),
        pytest.param(5, 0x2D0, b"\x01", id="r beyond 48 bytes"),
        pytest.param(5, 0x2E7, b"\x01", id="last byte of r"),
        pytest.param(5, 0x318, b"\x01", id="s beyond 48 bytes"),
        pytest.param(5, 0x32F, b"\x01", id="last byte of s"),
        pytest.param(5, 0x330, b"\x01", id="first byte after the signature"),
        pytest.param(5, 0x49F, b"\x01", id="last byte of all"),
        pytest.param(2, 0x188, b"\x19", id="a CPUID before version 3"),
        pytest.param(2, 0x18A, b"\x01", id="a stepping before version 3"),
        pytest.param(4, 0x1F8, b"\x01", id="a launch mitigation before version 5"),
        pytest.param(4, 0x200, b"\x01", id="a current mitigation before version 5"),
    ],
)
def test_malformed(version: int, offset: int, value: bytes) -> None:
    data = _healthy(version)
    assert SnpReport.from_bytes(bytes(data)).version == version
    data[offset : offset + len(value)] = value
    with pytest.raises(Malformed):
        SnpReport.from_bytes(bytes(data))


@pytest.mark.parametrize("length", [0, 0x49F, 0x4A1, 2 * 0x4A0])
def test_exactly_one_report(length: int) -> None:
    with pytest.raises(Malformed, match="expected 1184 bytes"):
        SnpReport.from_bytes(bytes(_healthy(5) * 2)[:length])


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 6},
        {"report_data": bytes(63)},
        {"chip_id": bytes(65)},
        {"cpuid": None},
        {"version": 2},
        {"launch_mitigations": None},
        {"version": 4, "launch_mitigations": None},
    ],
    ids=str,
)
def test_no_report_is_made_that_could_not_be_read(changes: dict[str, object]) -> None:
    report = SnpReport.from_bytes(bytes(_healthy(5)))
    with pytest.raises(Malformed):
        replace(report, **changes)  # type: ignore[arg-type]


@needs_vectors
def test_what_the_turin_report_says() -> None:
    """Field by field against the provenance of the recorded report, and the layout of attestation.md, SNP."""
    report = SnpReport.from_bytes((RECORDED / "sev-snp" / "turin-v5-vcek-oak-3f44a0" / "report.bin").read_bytes())
    assert (report.version, report.vmpl, report.signing_key) == (5, 0, SigningKey.VCEK)
    assert report.policy == GuestPolicy(
        abi_major=0, abi_minor=0, flags=GuestPolicyFlag.RESERVED_ONE | GuestPolicyFlag.SMT
    )
    assert report.platform_info.unknown == 1 << 6
    assert PlatformFlag.ALIAS_CHECK_COMPLETE in report.platform_info.flags
    assert str(report.current_firmware) == "1.55.61"
    assert report.reported_tcb.raw.hex() == "0001000200000047"
    assert report.cpuid is not None
    assert (report.cpuid.family, report.cpuid.model) == (0x1A, 0x02)


@needs_vectors
def test_recorded_reports_come_back_byte_for_byte() -> None:
    data = [path.read_bytes() for path in sorted((RECORDED / "sev-snp").glob("*/report.bin"))]
    assert len(data) == 14
    assert [SnpReport.from_bytes(report).to_bytes() for report in data] == data


def test_a_bundle_parses_to_its_report() -> None:
    bundle = issue()
    assert parse_evidence(bundle).to_bytes() == bundle.evidence
