"""Event logs: read exactly, written back the same, and what they replay to."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import (
    SEV_SNP,
    SGX,
    TDX,
    DstackEvent,
    DstackLog,
    EventLog,
    EvidenceBundle,
    SpecId,
    TcgAlgorithm,
    TcgEvent,
)
from hermetic.wire import canonical, parse_json
from vectors import ROOT, needs_vectors

RECORDED = ROOT / "attestation"
EXPECT = tomllib.loads((Path(__file__).parents[1] / "verify" / "expect_eventlogs.toml").read_text(encoding="utf-8"))
SHA1, SHA256, SHA384 = TcgAlgorithm.SHA1, TcgAlgorithm.SHA256, TcgAlgorithm.SHA384


def entries(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("entry", EXPECT[kind], ids=lambda entry: Path(entry["file"]).name)


def read(entry: dict[str, Any]) -> bytes:
    return (RECORDED / str(entry["file"])).read_bytes()


def shown(registers: Any) -> dict[str, str]:
    return {str(index): value.hex()[:16] for index, value in registers.items()}


# --- recorded logs ---


@needs_vectors
def test_every_recorded_log_has_its_entry_and_is_the_one_that_was_transcribed() -> None:
    listed = {entry["file"]: entry["sha256"] for kind in EXPECT.values() for entry in kind}
    present = [*(RECORDED / "tdx-eventlogs").rglob("*"), *(RECORDED / "tpm" / "eventlogs").iterdir()]
    files = [path for path in (*present, *(RECORDED / "tpm").glob("*.pb")) if path.is_file()]
    assert {str(path.relative_to(RECORDED)) for path in files} == listed.keys()
    for path in files:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[str(path.relative_to(RECORDED))]


@needs_vectors
@entries("ccel")
def test_a_recorded_area_is_its_log_and_padding(entry: dict[str, Any]) -> None:
    area = read(entry)
    log = EventLog.from_ccel(area)
    exact = log.to_bytes()
    assert (len(log.events), len(exact), log.algorithms) == (entry["events"], entry["length"], (SHA384,))
    assert area == exact + area[-1:] * (len(area) - len(exact))
    assert EventLog.from_ccel(exact) == EventLog.from_bytes(exact) == log
    assert shown(log.registers(SHA384)) == entry["registers"]
    with pytest.raises(Malformed):
        EventLog.from_bytes(area)


@needs_vectors
@entries("tpm")
def test_a_recorded_tpm_log(entry: dict[str, Any]) -> None:
    log = EventLog.from_bytes(read(entry))
    assert log.to_bytes() == read(entry)
    assert (len(log.events), [each.name for each in log.algorithms]) == (entry["events"], entry["algorithms"])
    assert shown(log.registers(log.algorithms[-1])) == entry["registers"]


@needs_vectors
@entries("dstack")
def test_a_recorded_dstack_log(entry: dict[str, Any]) -> None:
    written = json.loads(read(entry))["event_log"].encode()
    log = DstackLog.from_bytes(written)
    assert log.to_bytes() == written
    assert len(log.events) == entry["events"]
    assert shown(log.registers()) == entry["registers"]


@needs_vectors
@entries("attestation")
def test_a_recorded_log_replays_to_the_pcrs_that_the_tpm_quoted(entry: dict[str, Any]) -> None:
    """All three banks; the quote's digest is of exactly the PCRs beside it."""
    members = list(protobuf(read(entry)))
    log = EventLog.from_bytes(next(value for number, value in members if number == 3))
    assert (len(log.events), [each.name for each in log.algorithms]) == (entry["events"], entry["algorithms"])
    banks = []
    for quote in (dict(protobuf(value)) for number, value in members if number == 2):
        algorithm, pcrs = pcr_bank(quote[3])
        assert quote[1].endswith(TcgAlgorithm.SHA256.digest(*pcrs)) or quote[1].endswith(algorithm.digest(*pcrs))
        replayed = log.registers(algorithm)
        agree = [number for number, pcr in enumerate(pcrs) if replayed.get(number, bytes(len(pcr))) == pcr]
        assert agree == [number for number in range(24) if number not in entry["beyond"]]
        banks.append(algorithm)
    assert banks == list(log.algorithms)


def pcr_bank(message: bytes) -> tuple[TcgAlgorithm, list[bytes]]:
    algorithm, pcrs = 0, {}
    for number, value in protobuf(message):
        if number == 1:
            algorithm = value
        else:
            pair = dict(protobuf(value))
            pcrs[pair.get(1, 0)] = pair[2]
    return TcgAlgorithm(algorithm), [pcrs[number] for number in range(24)]


def protobuf(message: bytes) -> Iterator[tuple[int, Any]]:
    """The members of a protocol buffer that has varints and byte strings only."""
    rest = iter(message)

    def varint() -> int:
        value = shift = 0
        for byte in rest:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
        raise AssertionError("cut short")

    for first in rest:
        tag = first & 0x7F | (varint() << 7 if first >= 0x80 else 0)
        value = varint()
        yield tag >> 3, value if tag & 7 == 0 else bytes(next(rest) for _ in range(value))


# --- what is written comes back ---

algorithms = st.lists(st.sampled_from(list(TcgAlgorithm)), min_size=1, max_size=4, unique=True).map(tuple)


@st.composite
def logs(draw: st.DrawFn) -> EventLog:
    agile = draw(st.booleans())
    chosen = draw(algorithms) if agile else (SHA1,)
    spec = SpecId(
        algorithms=chosen, register=draw(st.integers(0, 16)), platform=draw(st.integers(0, 9)), vendor=draw(st.binary())
    )
    event = st.builds(
        TcgEvent,
        register=st.integers(0, 16),
        type=st.integers(0, 2**32 - 1),
        digests=st.tuples(*(st.binary(min_size=each.length, max_size=each.length) for each in chosen)),
        data=st.binary(max_size=60),
    )
    events = draw(st.lists(event, min_size=0 if agile else 1, max_size=5))
    return EventLog(spec=spec if agile else None, events=tuple(events))


@given(logs())
def test_a_log_comes_back_from_its_bytes(log: EventLog) -> None:
    assert EventLog.from_bytes(log.to_bytes()) == log


@given(logs(), st.data())
def test_half_a_log_is_another_one_or_none(log: EventLog, data: st.DataObject) -> None:
    whole = log.to_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        read = EventLog.from_bytes(cut)
    except Malformed:
        return
    assert read.to_bytes() == cut
    assert read.events == log.events[: len(read.events)]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_log_or_refused(data: bytes) -> None:
    for parse in (EventLog.from_bytes, EventLog.from_ccel, DstackLog.from_bytes):
        try:
            parse(data)
        except Malformed:
            continue


names = st.text(st.characters(exclude_characters=":", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.builds(DstackEvent.runtime, names, st.binary(max_size=40)), max_size=5))
def test_a_dstack_log_comes_back_from_its_json(events: list[DstackEvent]) -> None:
    log = DstackLog(events=tuple(events))
    assert DstackLog.from_bytes(log.to_bytes()) == log


# --- what is no log ---

EVENT = TcgEvent.measured(1, 0x04, bytes(4), (SHA384,))
LOG = EventLog(spec=SpecId(algorithms=(SHA384,)), events=(EVENT,))
BYTES = LOG.to_bytes()
_HEADER = len(EventLog(spec=LOG.spec, events=()).to_bytes())


def changed(at: int, value: bytes) -> bytes:
    return BYTES[:at] + value + BYTES[at + len(value) :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(BYTES[:-1], id="cut in the last event"),
        pytest.param(BYTES[: _HEADER + 5], id="cut in the head of an event"),
        pytest.param(BYTES[: _HEADER - 1], id="cut in the Spec ID"),
        pytest.param(BYTES + b"\0", id="a byte too many"),
        pytest.param(BYTES + bytes(64), id="padding, where there is none"),
        pytest.param(BYTES + b"\xff" * 64, id="padding of the other kind"),
        pytest.param(changed(8, b"\1"), id="a Spec ID with a digest"),
        pytest.param(changed(_HEADER, b"\x11"), id="register 17"),
        pytest.param(changed(_HEADER + 8, b"\0"), id="no digest"),
        pytest.param(changed(_HEADER + 8, b"\2"), id="a digest too many"),
        pytest.param(changed(_HEADER + 12, b"\x0b"), id="another algorithm than the log's"),
        pytest.param(changed(_HEADER + 62, b"\5"), id="data longer than there is"),
        pytest.param(changed(_HEADER + 62, b"\xff\xff\xff\xff"), id="data of four gibibytes"),
        pytest.param(changed(60, b"\x12"), id="an algorithm that nobody knows"),
        pytest.param(changed(62, b"\x20"), id="a known algorithm of another size"),
        pytest.param(changed(56, b"\2"), id="more algorithms than there are"),
        pytest.param(changed(64, b"\1"), id="a vendor longer than the Spec ID"),
        pytest.param(changed(28, b"\x22"), id="a Spec ID longer than its fields"),
    ],
)
def test_what_is_no_log(data: bytes) -> None:
    assert EventLog.from_bytes(BYTES) == LOG
    with pytest.raises(Malformed):
        EventLog.from_bytes(data)


def test_a_spec_id_ends_where_it_says() -> None:
    """A byte between the vendor and the end of the Spec ID."""
    length = int.from_bytes(BYTES[28:32], "little")
    longer = BYTES[:28] + (length + 1).to_bytes(4, "little") + BYTES[32 : 32 + length] + b"\0" + BYTES[32 + length :]
    with pytest.raises(Malformed, match="more than it says"):
        EventLog.from_bytes(longer)


def test_a_log_has_a_bound() -> None:
    data = bytes(1048576 - len(BYTES))
    EventLog.from_ccel(BYTES + data)
    with pytest.raises(Malformed, match="at most"):
        EventLog.from_ccel(BYTES + data + b"\0")


@pytest.mark.parametrize(
    ("spec", "digests"),
    [
        pytest.param((), (), id="no algorithm"),
        pytest.param((SHA384, SHA384), (bytes(48), bytes(48)), id="an algorithm twice"),
        pytest.param((SHA384,), (bytes(32),), id="a digest of another length"),
        pytest.param((SHA384,), (bytes(48), bytes(48)), id="two digests for one algorithm"),
    ],
)
def test_what_cannot_be_written(spec: tuple[TcgAlgorithm, ...], digests: tuple[bytes, ...]) -> None:
    event = TcgEvent(register=0, type=1, digests=digests, data=b"")
    with pytest.raises(Malformed):
        EventLog(spec=SpecId(algorithms=spec), events=(event,))


# --- CCEL: an area, and its indexes ---


@pytest.mark.parametrize("filler", [b"\0", b"\xff"], ids=["zeros", "ones"])
@pytest.mark.parametrize("length", [1, 7, 12, 13, 500])
def test_the_padding_of_an_area(filler: bytes, length: int) -> None:
    assert EventLog.from_ccel(BYTES + filler * length) == LOG
    if length > 12:
        for spoilt in (filler * (length - 1) + b"\1", filler * 12 + (b"\0" if filler == b"\xff" else b"\xff")):
            with pytest.raises(Malformed, match="padding"):
                EventLog.from_ccel(BYTES + spoilt)
    with pytest.raises(Malformed):
        EventLog.from_ccel(BYTES + b"\1" * length)


def _ccel(*events: TcgEvent) -> bytes:
    return EventLog(spec=SpecId(algorithms=(SHA384,)), events=events).to_bytes()


def _of(register: int, kind: int) -> TcgEvent:
    return TcgEvent.measured(register, kind, b"", (SHA384,))


def test_the_indexes_of_a_ccel() -> None:
    log = EventLog.from_ccel(_ccel(_of(0, 0x03), *(_of(index, 0x04) for index in (1, 2, 3, 4))))
    assert log.registers(SHA384).keys() == {1, 2, 3, 4}
    for event in (_of(5, 0x04), _of(5, 0x03), _of(0, 0x04)):
        assert EventLog.from_bytes(_ccel(event)).events == (event,)
        with pytest.raises(Malformed, match="RTMR0 to RTMR3"):
            EventLog.from_ccel(_ccel(event))


def test_a_ccel_has_digests_of_sha_384() -> None:
    legacy = EventLog(spec=None, events=(TcgEvent.measured(1, 0x04, b"", (SHA1,)),))
    other = EventLog(spec=SpecId(algorithms=(SHA256,)), events=())
    for log in (legacy, other):
        assert EventLog.from_bytes(log.to_bytes()) == log
        with pytest.raises(Malformed, match="SHA384"):
            EventLog.from_ccel(log.to_bytes())


# --- replay ---


def test_what_a_register_holds() -> None:
    first, second = (TcgEvent.measured(1, 0x04, text, (SHA1, SHA384)) for text in (b"one", b"two"))
    note = TcgEvent.measured(1, 0x03, b"no action", (SHA1, SHA384))
    log = EventLog(spec=SpecId(algorithms=(SHA1, SHA384)), events=(first, note, second))
    after_one = hashlib.sha384(bytes(48) + hashlib.sha384(b"one").digest()).digest()
    after_two = hashlib.sha384(after_one + hashlib.sha384(b"two").digest()).digest()
    assert log.registers(SHA384) == {1: after_two}
    with pytest.raises(Malformed, match="no digests of SHA256"):
        log.registers(SHA256)


def test_pcr_0_starts_from_the_locality_that_is_stated() -> None:
    event = TcgEvent.measured(0, 0x08, b"", (SHA1,))
    texts = {b"StartupLocality\0\3": 3, b"StartupLocality\0": 0, b"StartupLocality\0\3\3": 0, b"StartupLocation\0\3": 0}
    for data, start in texts.items():
        log = EventLog(spec=None, events=(TcgEvent(register=0, type=0x03, digests=(bytes(20),), data=data), event))
        expected = hashlib.sha1(bytes(19) + bytes((start,)) + event.digests[0], usedforsecurity=False).digest()
        assert log.registers(SHA1) == {0: expected}
    elsewhere = TcgEvent(register=1, type=0x03, digests=(bytes(20),), data=b"StartupLocality\0\3")
    measured = TcgEvent(register=0, type=0x08, digests=(bytes(20),), data=b"StartupLocality\0\3")
    for other in (elsewhere, measured):
        zeros = EventLog(spec=None, events=(other,) if other is measured else (other, event)).registers(SHA1)
        digest = measured.digests[0] if other is measured else event.digests[0]
        assert zeros == {0: hashlib.sha1(bytes(20) + digest, usedforsecurity=False).digest()}


# --- dstack ---

DSTACK = {"imr": 3, "event_type": 0x08000001, "digest": "ab" * 48, "event": "app-id", "event_payload": "00ff"}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="not a list"),
        pytest.param([["app-id"]], id="an event that is no object"),
        pytest.param([DSTACK | {"version": 2}], id="an unknown member"),
        pytest.param([{name: DSTACK[name] for name in DSTACK if name != "digest"}], id="a missing member"),
        pytest.param([DSTACK | {"imr": 4}], id="RTMR 4"),
        pytest.param([DSTACK | {"imr": -1}], id="RTMR minus 1"),
        pytest.param([DSTACK | {"imr": True}], id="an RTMR that is no number"),
        pytest.param([DSTACK | {"event_type": 2**32}], id="a type beyond 32 bits"),
        pytest.param([DSTACK | {"event_type": -1}], id="a negative type"),
        pytest.param([DSTACK | {"event_type": "x"}], id="a type that is no number"),
        pytest.param([DSTACK | {"digest": "ab" * 32}], id="a digest of 32 bytes"),
        pytest.param([DSTACK | {"digest": "AB" * 48}], id="a digest in capitals"),
        pytest.param([DSTACK | {"digest": ""}], id="no digest"),
        pytest.param([DSTACK | {"event": None}], id="a name that is no text"),
        pytest.param([DSTACK | {"event": "app-id:00"}], id="a name with a colon"),
        pytest.param([DSTACK | {"event_payload": "0"}], id="half a byte"),
    ],
)
def test_what_is_no_dstack_log(document: Any) -> None:
    assert DstackLog.from_bytes(json.dumps([DSTACK]).encode()).events[0].payload == b"\0\xff"
    with pytest.raises(Malformed):
        DstackLog.from_bytes(json.dumps(document).encode())


def test_a_dstack_log_has_a_bound() -> None:
    DstackLog.from_bytes(b"[" + b" " * (262144 - 2) + b"]")
    with pytest.raises(Malformed, match="larger"):
        DstackLog.from_bytes(b"[" + b" " * (262144 - 1) + b"]")


# --- in a bundle ---


def test_a_bundle_with_logs_comes_back_through_json() -> None:
    bundle = EvidenceBundle(tee=TDX, evidence=b"q", endorsements={}, event_logs={"ccel": b"c", "dstack": b"d"})
    document = parse_json(canonical(bundle.to_json()))
    assert EvidenceBundle.from_json(document) == bundle
    assert "event_logs" not in EvidenceBundle(tee=TDX, evidence=b"q", endorsements={}).to_json()
    wrong: list[Any] = [{}, [], None, {"ccel": 1}, {"ima": "AAAA"}]
    for spoilt in wrong:
        with pytest.raises(Malformed):
            EvidenceBundle.from_json(document | {"event_logs": spoilt})


@pytest.mark.parametrize("tee", [SEV_SNP, SGX])
def test_only_tdx_has_event_logs(tee: str) -> None:
    EvidenceBundle(tee=tee, evidence=b"", endorsements={})
    with pytest.raises(Malformed, match="there may be none"):
        EvidenceBundle(tee=tee, evidence=b"", endorsements={}, event_logs={"ccel": b""})


@pytest.mark.parametrize(("name", "most"), [("ccel", 1048576), ("dstack", 262144)])
def test_a_log_in_a_bundle_has_a_bound(name: str, most: int) -> None:
    EvidenceBundle(tee=TDX, evidence=b"", endorsements={}, event_logs={name: bytes(most)})
    with pytest.raises(Malformed, match="at most"):
        EvidenceBundle(tee=TDX, evidence=b"", endorsements={}, event_logs={name: bytes(most + 1)})
