"""The NVIDIA report: what is recorded reads as NVIDIA says, what is written reads back, everything else is refused."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence.nvidia import (
    DeviceBundle,
    FeatureMode,
    Measurement,
    NvidiaReport,
    OpaqueData,
    OpaqueField,
    OpaqueType,
    nvat_evidence,
)
from vectors import ROOT, needs_vectors

NVIDIA = ROOT / "attestation" / "nvidia"
FIRMWARE = bytes.fromhex("005e009601000000")


def field(kind: int, value: bytes) -> OpaqueField:
    return OpaqueField(type=kind, value=value)


def opaque(*fields: OpaqueField) -> OpaqueData:
    return OpaqueData(fields=(field(OpaqueType.FIRMWARE_VERSION, FIRMWARE), *fields))


def report(**changes: object) -> NvidiaReport:
    arguments: dict[str, object] = {
        "nonce": bytes(range(32)),
        "slot": 0,
        "measurements": (Measurement(index=1, type=1, value=b"m" * 48), Measurement(index=2, type=1, value=b"n" * 48)),
        "responder_nonce": b"r" * 32,
        "opaque": opaque(field(OpaqueType.DRIVER_VERSION, b"550.144.03\0")),
        "signature": b"s" * 96,
    }
    return NvidiaReport(**(arguments | changes))  # type: ignore[arg-type]


def recorded() -> list[tuple[str, bytes]]:
    return [(path.parent.name, bytes.fromhex(path.read_text().strip())) for path in sorted(NVIDIA.glob("*/report.hex"))]


@needs_vectors
def test_every_recorded_report_is_written_as_it_was_read() -> None:
    whole = [(name, data) for name, data in recorded() if not name.endswith("-coco")]
    assert len(whole) == 8
    for _, data in whole:
        assert NvidiaReport.from_bytes(data).to_bytes() == data


@needs_vectors
def test_one_recorded_report_has_a_byte_too_many() -> None:
    data = dict(recorded())["NEG-hopper-580.95.05-coco"]
    with pytest.raises(Malformed, match="1 bytes follow"):
        NvidiaReport.from_bytes(data)
    assert NvidiaReport.from_bytes(data[:-1]).opaque.driver_version == "580.95.05"


@needs_vectors
def test_what_a_recorded_gpu_says() -> None:
    said = NvidiaReport.from_bytes(dict(recorded())["hopper-580.159.03"])
    assert len(said.measurements) == 64
    assert said.nonce.hex().startswith("5bb22e377702d4e1")
    assert said.opaque.driver_version == "580.159.03"
    assert said.opaque.firmware_version == "96.00.74.00.20"
    assert (said.opaque.project, said.opaque.project_sku, said.opaque.chip_sku) == ("1010", "0205", "862")
    assert said.opaque.mode is FeatureMode.SPT
    assert said.opaque.nvdec0_enabled is False
    assert said.opaque.protected_pcie is False
    assert said.opaque.fwid is not None
    assert said.opaque.switch_pdis == ()
    assert said.opaque.unknown_types == ()
    assert len(said.opaque.measurement_counts) == 64


@needs_vectors
def test_what_a_recorded_switch_says() -> None:
    said = NvidiaReport.from_bytes(dict(recorded())["nvswitch-ls10-full"])
    assert len(said.measurements) == 31
    assert said.opaque.driver_version is None
    assert said.opaque.firmware_version == "96.10.55.00.01"
    assert said.opaque.switch_pdis == (bytes.fromhex("203eb31ad9ed0008"),)
    assert len(said.opaque.gpu_pdis) == 16


@needs_vectors
@pytest.mark.parametrize(
    ("name", "mode", "switches"),
    [
        ("hopper_evidence", FeatureMode.PPCIE, 4),
        ("hopper_evidence_cert_hold", None, 0),
        ("switch_evidence_ls10", None, 1),
    ],
)
def test_nvidias_own_evidence_files(name: str, mode: FeatureMode | None, switches: int) -> None:
    (stated,) = nvat_evidence(json.loads((NVIDIA / "json" / f"{name}.json").read_text()))
    said = NvidiaReport.from_bytes(stated.bundle.evidence)
    assert said.nonce == stated.nonce
    assert len(stated.bundle.certificates) == 5
    assert said.opaque.mode is mode
    assert len(set(said.opaque.switch_pdis)) == switches


@pytest.mark.parametrize("value", [7, {}, [], [[]]], ids=["a number", "an object", "nothing", "a list in a list"])
def test_files_that_hold_no_entries(value: object) -> None:
    with pytest.raises(Malformed):
        nvat_evidence(value)


@needs_vectors
@pytest.mark.parametrize(
    "changed",
    [{"arch": "AMPERE"}, {"evidence": None}, {"certificate": "AAAA"}, {"nonce": "00"}],
    ids=["arch", "evidence", "certificate", "nonce"],
)
def test_entries_that_are_refused(changed: dict[str, object]) -> None:
    (entry,) = json.loads((NVIDIA / "json" / "hopper_evidence.json").read_text())
    assert len(nvat_evidence([entry])) == 1
    with pytest.raises(Malformed):
        nvat_evidence([entry | changed])


@needs_vectors
def test_a_file_has_at_most_64_entries() -> None:
    entries = json.loads((NVIDIA / "json" / "hopper_evidence.json").read_text())
    assert len(nvat_evidence(entries * 64)) == 64
    with pytest.raises(Malformed, match="1 to 64"):
        nvat_evidence(entries * 65)


# Exactness


CHANGES: list[tuple[str, Callable[[bytearray], object]]] = [
    ("an SPDM version", lambda raw: raw.__setitem__(0, 0x12)),
    ("another question", lambda raw: raw.__setitem__(1, 0xE1)),
    ("no signature asked for", lambda raw: raw.__setitem__(2, 0)),
    ("one measurement asked for", lambda raw: raw.__setitem__(3, 1)),
    ("another slot in the answer", lambda raw: raw.__setitem__(40, 1)),
    ("an error instead of an answer", lambda raw: raw.__setitem__(38, 0x7F)),
    ("a block less than there are", lambda raw: raw.__setitem__(41, 1)),
    ("a block more than there are", lambda raw: raw.__setitem__(41, 3)),
    ("a record that is longer", lambda raw: raw.__setitem__(42, raw[42] + 1)),
    ("a foreign measurement specification", lambda raw: raw.__setitem__(46, 2)),
    ("two sizes of one measurement", lambda raw: raw.__setitem__(47, 50)),
    ("an index twice", lambda raw: raw.__setitem__(100, 1)),
    ("an index of zero", lambda raw: raw.__setitem__(45, 0)),
    ("trailing bytes", lambda raw: raw.append(0)),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_a_report_that_is_not_exactly_one(name: str, change: Callable[[bytearray], object]) -> None:
    raw = bytearray(report().to_bytes())
    NvidiaReport.from_bytes(bytes(raw))
    change(raw)
    with pytest.raises(Malformed):
        NvidiaReport.from_bytes(bytes(raw))


def test_every_truncation_is_refused() -> None:
    raw = report().to_bytes()
    for length in range(len(raw)):
        with pytest.raises(Malformed):
            NvidiaReport.from_bytes(raw[:length])


def test_a_report_of_endless_length_is_not_read() -> None:
    with pytest.raises(Malformed, match="at most"):
        NvidiaReport.from_bytes(bytes(65537))


@pytest.mark.parametrize("name", ["nonce", "responder_nonce", "signature"])
def test_parts_have_their_size(name: str) -> None:
    with pytest.raises(Malformed, match=name):
        report(**{name: b"short"})


def test_a_report_without_measurements_says_nothing() -> None:
    with pytest.raises(Malformed, match="no measurements"):
        report(measurements=())


@pytest.mark.parametrize(
    "fields",
    [
        (field(OpaqueType.FIRMWARE_VERSION, FIRMWARE),),
        (field(OpaqueType.DRIVER_VERSION, b"550\n144"),),
        (field(OpaqueType.DRIVER_VERSION, b""),),
        (field(OpaqueType.DRIVER_VERSION, b"5\xff0"),),
        (field(OpaqueType.PROJECT, b"../../x"),),
        (field(OpaqueType.PROJECT_SKU, b".."),),
        (field(OpaqueType.CHIP_SKU, b"8 2"),),
        (field(OpaqueType.CHIP_INFO, b"GB_100"),),
        (field(OpaqueType.FWID, bytes(47)),),
        (field(OpaqueType.NVDEC0_STATUS, b"\x00"),),
        (field(OpaqueType.NVDEC0_STATUS, b"\x55\x55"),),
        (field(OpaqueType.PROTECTED_PCIE_STATUS, b"\x01"),),
        (field(OpaqueType.FEATURE_FLAG, b"\x03\x00"),),
        (field(OpaqueType.FEATURE_FLAG, b"\x01"),),
        (field(OpaqueType.MEASUREMENT_COUNTS, bytes(5)),),
        (field(OpaqueType.SWITCH_PDI, bytes(9)),),
        (field(OpaqueType.GPU_PDIS, bytes(7)),),
    ],
    ids=repr,
)
def test_opaque_fields_that_cannot_be_read(fields: tuple[OpaqueField, ...]) -> None:
    with pytest.raises(Malformed):
        opaque(*fields)


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (FIRMWARE, "96.00.5E.00.01"),
        (bytes.fromhex("007400961a000000"), "96.00.74.00.1A"),
        (b"96.10.55.00.01", "96.10.55.00.01"),
    ],
)
def test_two_spellings_of_a_firmware_version(raw: bytes, version: str) -> None:
    assert OpaqueData(fields=(field(OpaqueType.FIRMWARE_VERSION, raw),)).firmware_version == version


@pytest.mark.parametrize(
    "raw", [bytes.fromhex("005e009601000001"), b"96.10.55.00", b"96.10.55.00.0g", b"96.10.55.00.0a", b""]
)
def test_firmware_versions_that_are_none(raw: bytes) -> None:
    with pytest.raises(Malformed):
        OpaqueData(fields=(field(OpaqueType.FIRMWARE_VERSION, raw),))
    with pytest.raises(Malformed, match="which firmware"):
        OpaqueData(fields=())


@pytest.mark.parametrize("data", [b"\x06", struct.pack("<HH", 6, 9) + FIRMWARE])
def test_opaque_data_that_ends_too_early(data: bytes) -> None:
    with pytest.raises(Malformed, match="ends inside"):
        OpaqueData.from_bytes(data)


def test_unknown_fields_are_kept_and_named() -> None:
    data = opaque(field(999, b"new"), field(35, b"GB100\0\0"))
    assert data.unknown_types == (999,)
    assert data.chip_info == "GB100"
    assert OpaqueData.from_bytes(data.to_bytes()) == data


def test_links_that_are_not_in_use_are_no_peers() -> None:
    assert opaque(field(OpaqueType.SWITCH_PDI, b"A" * 8 + bytes(8) + b"A" * 8)).switch_pdis == (b"A" * 8, b"A" * 8)


# Round trips and noise

measurements = st.lists(
    st.builds(Measurement, index=st.integers(1, 254), type=st.integers(0, 255), value=st.binary(max_size=64)),
    min_size=1,
    max_size=8,
    unique_by=lambda block: block.index,
).map(tuple)
unknown = st.lists(
    st.builds(OpaqueField, type=st.integers(100, 0xFFFF), value=st.binary(max_size=32)),
    max_size=4,
    unique_by=lambda entry: entry.type,
)
reports = st.builds(
    report,
    nonce=st.binary(min_size=32, max_size=32),
    slot=st.integers(0, 255),
    measurements=measurements,
    responder_nonce=st.binary(min_size=32, max_size=32),
    opaque=unknown.map(lambda fields: opaque(*fields)),
    signature=st.binary(min_size=96, max_size=96),
)


@given(reports)
def test_round_trip(made: NvidiaReport) -> None:
    assert NvidiaReport.from_bytes(made.to_bytes()) == made


@given(reports, st.data())
def test_damage_is_refused_or_read_as_what_it_is(made: NvidiaReport, data: st.DataObject) -> None:
    """Whatever the bytes are, the answer is Malformed or a report that is written as those very bytes."""
    raw = bytearray(made.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = NvidiaReport.from_bytes(bytes(raw))
    except Malformed:
        return
    assert read.to_bytes() == bytes(raw)


@given(st.binary(max_size=600))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        NvidiaReport.from_bytes(data)


# Bundles


def test_a_bundle_comes_back_from_json() -> None:
    bundle = DeviceBundle(
        evidence=b"report",
        certificates=(b"leaf", b"root"),
        rims={"NV_GPU_DRIVER_GH100_1.2": b"<x/>"},
        ocsp=(b"good",),
        crls=(b"list",),
    )
    assert DeviceBundle.from_json(json.loads(json.dumps(bundle.to_json()))) == bundle


def test_a_bundle_cannot_be_changed_through_what_it_was_made_of() -> None:
    rims = {"NV_A": b"1"}
    bundle = DeviceBundle(evidence=b"", certificates=(), rims=rims)
    rims["NV_B"] = b"2"
    assert dict(bundle.rims) == {"NV_A": b"1"}


GOOD = DeviceBundle(evidence=b"r", certificates=(b"c",), rims={"NV_A": b"1"}).to_json()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {name: value for name, value in GOOD.items() if name != "ocsp"},
        {**GOOD, "more": 1},
        {**GOOD, "device": "amd"},
        {**GOOD, "device": 1},
        {**GOOD, "evidence": "!"},
        {**GOOD, "certificates": "AAAA"},
        {**GOOD, "certificates": [1]},
        {**GOOD, "rims": []},
        {**GOOD, "rims": {"../etc": "AAAA"}},
        {**GOOD, "ocsp": {}},
        {**GOOD, "crls": None},
    ],
    ids=repr,
)
def test_json_that_is_no_bundle(value: object) -> None:
    with pytest.raises(Malformed):
        DeviceBundle.from_json(value)


@pytest.mark.parametrize(
    "parts",
    [
        {"evidence": bytes(65537)},
        {"certificates": (b"",) * 9},
        {"certificates": (bytes(8193),)},
        {"rims": {f"NV_{n}": b"" for n in range(5)}},
        {"rims": {"NV_A": bytes(262145)}},
        {"ocsp": (b"",) * 17},
        {"crls": (bytes(65537),)},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_a_bundle_is_bounded(parts: dict[str, object]) -> None:
    with pytest.raises(Malformed, match="at most"):
        DeviceBundle(**({"evidence": b"", "certificates": ()} | parts))  # type: ignore[arg-type]
