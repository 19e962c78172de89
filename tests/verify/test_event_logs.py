"""Event logs against the registers of a quote: what is a claim, and what is refused."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from event_log_support import (
    APP_ID,
    BOOT,
    COMMAND_LINE,
    COMPOSE,
    DB,
    END_OF_FIRMWARE,
    GLOBAL,
    IMAGE_SECURITY,
    INSTANCE,
    IPL,
    KERNEL,
    LAUNCH,
    PROVIDER,
    RUNTIME,
    SECURE_BOOT,
    SEPARATOR,
    SHA384,
    TAG,
    VARIABLE,
    bundle,
    ccel,
    dstack,
    event,
    variable,
    verified,
)
from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import DstackEvent, EventLog, EvidenceBundle, SpecId, TcgAlgorithm, TcgEvent
from hermetic.verify import INTEL_ROOTS, IntelClaims, LoaderEvents, MeasuredEvents, Outcome, verify
from intel_forge import NOW, SGX, Intel
from intel_support import RECORDED, bundle_of, time_of
from vectors import needs_vectors

EXPECT = tomllib.loads((Path(__file__).parent / "expect_eventlogs.toml").read_text(encoding="utf-8"))
(DSTACK,) = EXPECT["dstack"]
(COS,) = (entry for entry in EXPECT["ccel"] if "quote" in entry)


def events_of(whole: EvidenceBundle) -> MeasuredEvents:
    events = verified(whole).events
    assert events is not None
    return events


def refusal(whole: EvidenceBundle) -> Refused:
    with pytest.raises((Malformed, NotAuthentic)) as refused:
        verified(whole)
    assert refused.value.code == "tdx.event-log"
    assert refused.value.checks[-1].outcome is Outcome.FAIL
    return refused.value


# --- recorded ---


def recorded(entry: dict[str, Any], **logs: bytes) -> IntelClaims:
    whole = replace(bundle_of(entry["quote"], entry["collateral"]), event_logs=logs)
    now = time_of(entry["quote"], entry["collateral"])
    claims = verify(whole, roots=INTEL_ROOTS, now=now, report_data=None)
    assert isinstance(claims, IntelClaims)
    return claims


@needs_vectors
def test_the_recorded_log_of_a_google_domain() -> None:
    claims = recorded(COS, ccel=(RECORDED / COS["file"]).read_bytes())
    assert claims.checks[-1].name == "tdx.event-log"
    assert claims.checks[-1].outcome is Outcome.PASS
    events = claims.events
    assert events is not None
    assert (events.secure_boot, events.app_id, events.compose_hash) == (False, None, None)
    assert {name: len(digest) for name, digest in events.secure_boot_keys.items()} == dict.fromkeys(
        ("PK", "KEK", "db", "dbx"), 48
    )
    assert events.loader is not None
    assert events.loader.command_line is not None
    assert events.loader.command_line.startswith("/syslinux/vmlinuz.A init=/usr/lib/systemd/systemd rootwait ro")
    assert events.loader.command_line_digest == TcgAlgorithm.SHA384.digest(events.loader.command_line.encode())
    assert events.loader.kernel is not None
    assert (events.loader.kernel.hex()[:16], events.loader.initrd) == ("b1012372f421ad28", None)


@needs_vectors
def test_the_recorded_log_of_a_dstack_domain() -> None:
    """Both quote and log are of one machine; the last event is its application's, and no claim."""
    log = json.loads((RECORDED / DSTACK["file"]).read_text(encoding="utf-8"))["event_log"].encode()
    events = recorded(DSTACK, dstack=log).events
    assert events is not None
    assert events.app_id == bytes.fromhex(DSTACK["app_id"])
    assert events.compose_hash == bytes.fromhex(DSTACK["compose_hash"])
    assert events.instance_id == bytes.fromhex(DSTACK["instance_id"])
    assert events.key_provider == DSTACK["key_provider"].encode()
    assert (events.os_image_hash, events.launch_digest, events.secure_boot) == (None, None, False)
    assert events.loader is not None
    assert None not in (events.loader.command_line_digest, events.loader.initrd)
    names = [each["event"] for each in json.loads(log)]
    assert names[names.index("system-ready") + 1 :] == DSTACK["after_the_boundary"]


@needs_vectors
def test_a_recorded_log_of_another_machine_is_refused() -> None:
    other = next(entry for entry in EXPECT["ccel"] if entry["file"].endswith("CCEL_data_gcp"))
    log = json.loads((RECORDED / DSTACK["file"]).read_text(encoding="utf-8"))["event_log"].encode()
    for spoilt in ({"ccel": (RECORDED / other["file"]).read_bytes()}, {"dstack": log}):
        with pytest.raises(NotAuthentic) as refused:
            recorded(COS, **spoilt)
        assert refused.value.code == "tdx.event-log"


@needs_vectors
def test_each_byte_of_a_recorded_digest_counts() -> None:
    area = (RECORDED / COS["file"]).read_bytes()
    at = area.index(bytes.fromhex("b1012372f421ad28"))  # the kernel's digest, of SHA-384
    for byte in range(48):
        flipped = bytearray(area)
        flipped[at + byte] ^= 1 << byte % 8
        with pytest.raises(NotAuthentic, match="RTMR2"):
            recorded(COS, ccel=bytes(flipped))


# --- logs that end in the registers ---


def test_without_a_log_there_is_neither_check_nor_claim() -> None:
    claims = verified(Intel().issue())
    assert claims.events is None
    assert "tdx.event-log" not in {check.name for check in claims.checks}
    enclave = verify(Intel(tee=SGX).issue(), roots=Intel(tee=SGX).roots, now=NOW, report_data=None)
    assert isinstance(enclave, IntelClaims)
    assert enclave.events is None


def test_what_both_logs_say() -> None:
    events = events_of(bundle(ccel(*BOOT), dstack(*RUNTIME)))
    assert events == MeasuredEvents(
        app_id=APP_ID,
        compose_hash=COMPOSE,
        instance_id=INSTANCE,
        key_provider=PROVIDER,
        launch_digest=LAUNCH,
        secure_boot=True,
        secure_boot_keys={"db": DB.digests[0]},
        loader=LoaderEvents(
            command_line="/vmlinuz ro", command_line_digest=COMMAND_LINE.digests[0], kernel=KERNEL.digests[0]
        ),
    )


def test_dstack_tells_the_firmware_s_events_too() -> None:
    copied = [
        DstackEvent(register=each.register - 1, type=each.type, digest=each.digests[0], name="", payload=each.data)
        for each in BOOT
    ]
    events = events_of(bundle(runtime=dstack(*copied, *RUNTIME)))
    assert (events.secure_boot, events.compose_hash) == (True, COMPOSE)
    assert events.loader is not None
    # Without their data the digests still replay, and nobody knows what they are of.
    bare = [replace(each, payload=b"") for each in copied]
    events = events_of(bundle(runtime=dstack(*bare, *RUNTIME)))
    assert (events.secure_boot, dict(events.secure_boot_keys), events.loader) == (None, {}, None)


REORDERED = (RUNTIME[0], RUNTIME[2], RUNTIME[1], *RUNTIME[3:])
EXTRA = DstackEvent.runtime("extra", b"1")


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(dstack(*REORDERED), id="reordered"),
        pytest.param(dstack(*RUNTIME[1:]), id="the first dropped"),
        pytest.param(dstack(*RUNTIME[:-1]), id="the last dropped"),
        pytest.param(dstack(*RUNTIME, EXTRA), id="one added at the end"),
        pytest.param(dstack(EXTRA, *RUNTIME), id="one added in front"),
        pytest.param(dstack(), id="empty"),
        pytest.param(dstack(*(replace(each, register=2) for each in RUNTIME)), id="in another register"),
    ],
)
def test_a_dstack_log_that_ends_elsewhere(log: Any) -> None:
    assert events_of(bundle(ccel(*BOOT), dstack(*RUNTIME))).compose_hash == COMPOSE
    assert "RTMR" in str(refusal(bundle(ccel(*BOOT), dstack(*RUNTIME), dstack=log.to_bytes())))


@pytest.mark.parametrize(
    "log",
    [
        pytest.param(ccel(*BOOT[1:]), id="one dropped"),
        pytest.param(ccel(*BOOT, event(0, SEPARATOR, b"")), id="one added"),
        pytest.param(ccel(BOOT[1], BOOT[0], *BOOT[2:]), id="reordered"),
        pytest.param(ccel(), id="empty"),
        pytest.param(ccel(*(each for each in BOOT if each.register != 1)), id="silent about RTMR0"),
        pytest.param(ccel(*(each for each in BOOT if each.register != 2)), id="silent about RTMR1"),
        pytest.param(ccel(*(each for each in BOOT if each.register != 3)), id="silent about RTMR2"),
        pytest.param(ccel(*BOOT, event(3, SEPARATOR, b"")), id="more in RTMR3"),
    ],
)
def test_a_ccel_that_ends_elsewhere(log: Any) -> None:
    assert events_of(bundle(ccel(*BOOT))).secure_boot is True
    assert "RTMR" in str(refusal(bundle(ccel(*BOOT), ccel=log.to_bytes())))


def test_the_firmware_may_be_silent_about_rtmr3_and_dstack_about_the_others() -> None:
    assert events_of(bundle(ccel(*BOOT), dstack(*RUNTIME), dstack=None)).secure_boot is True
    assert events_of(bundle(ccel(*BOOT), dstack(*RUNTIME), ccel=None)).secure_boot is None


def test_a_dstack_log_that_speaks_of_the_firmware_tells_the_truth() -> None:
    lie = DstackEvent(register=0, type=VARIABLE, digest=SECURE_BOOT.digests[0], name="", payload=SECURE_BOOT.data)
    log = dstack(lie, *RUNTIME).to_bytes()
    assert "RTMR0" in str(refusal(bundle(ccel(DB), dstack(*RUNTIME), ccel=None, dstack=log)))


@pytest.mark.parametrize("name", ["ccel", "dstack"])
def test_a_log_that_cannot_be_read(name: str) -> None:
    whole = bundle(ccel(*BOOT), dstack(*RUNTIME))
    for data in (b"", whole.event_logs[name][:-1], whole.event_logs[name] + b"\1"):
        assert isinstance(refusal(bundle(ccel(*BOOT), dstack(*RUNTIME), **{name: data})), Malformed)


def test_what_is_not_measured_is_not_replayed() -> None:
    """EV_NO_ACTION extends nothing: whatever such an event says, it is no claim."""
    note = TcgEvent(register=1, type=0x03, digests=SECURE_BOOT.digests, data=SECURE_BOOT.data)
    events = events_of(bundle(ccel(note, END_OF_FIRMWARE)))
    assert events.secure_boot is None
    relabelled = replace(SECURE_BOOT, type=0x03)
    assert refusal(bundle(ccel(*BOOT), ccel=ccel(relabelled, *BOOT[1:]).to_bytes()))


# --- dstack's events ---


def runtime(*events: DstackEvent) -> EvidenceBundle:
    return bundle(runtime=dstack(*events))


def test_what_the_application_measures_is_no_claim() -> None:
    late = DstackEvent.runtime("compose-hash", bytes(32))
    ready = RUNTIME[-1]
    early = runtime(late, ready)
    assert events_of(early).compose_hash == bytes(32)
    assert events_of(runtime(ready, late)).compose_hash is None
    assert events_of(runtime(*RUNTIME, late)).compose_hash == COMPOSE
    assert events_of(runtime(late)).compose_hash is None  # nobody knows yet who spoke
    again = runtime(RUNTIME[0], ready, late, ready)
    assert events_of(again).compose_hash is None


@pytest.mark.parametrize("index", [1, 2, 3, 5, 6], ids=lambda index: RUNTIME[index].name)
def test_a_claim_that_comes_twice_before_the_boundary(index: int) -> None:
    twice = (*RUNTIME[:-1], RUNTIME[index], RUNTIME[-1])
    assert "twice" in str(refusal(runtime(*twice)))
    assert events_of(runtime(*RUNTIME, RUNTIME[index])) == events_of(runtime(*RUNTIME))


def test_an_event_that_is_no_claim_may_come_twice() -> None:
    assert events_of(runtime(EXTRA, EXTRA, *RUNTIME)) == events_of(runtime(*RUNTIME))


@pytest.mark.parametrize(
    ("name", "length"),
    [("app-id", 20), ("compose-hash", 32), ("instance-id", 20), ("os-image-hash", 32), ("hermetic-launch-digest", 32)],
)
def test_the_length_of_a_claim(name: str, length: int) -> None:
    member = {"hermetic-launch-digest": "launch_digest"}.get(name, name.replace("-", "_"))
    told = events_of(runtime(DstackEvent.runtime(name, bytes(length)), RUNTIME[-1]))
    assert getattr(told, member) == bytes(length)
    for other in (length - 1, length + 1, 48):
        assert "bytes long" in str(refusal(runtime(DstackEvent.runtime(name, bytes(other)), RUNTIME[-1])))


def test_an_application_without_instance_id() -> None:
    assert events_of(runtime(DstackEvent.runtime("instance-id"), RUNTIME[-1])).instance_id is None
    assert "bytes long" in str(refusal(runtime(DstackEvent.runtime("app-id"), RUNTIME[-1])))


def test_a_payload_that_was_not_measured() -> None:
    """The digest is as measured and replays; name or payload are others."""
    for spoilt in (
        replace(RUNTIME[2], payload=bytes(32)),
        replace(RUNTIME[2], name="app-id"),
        replace(EXTRA, name="\x1b[31m" * 20),
    ):
        message = str(refusal(bundle(runtime=dstack(RUNTIME[0], spoilt, *RUNTIME[3:]))))
        assert "not that of its payload" in message
        assert "\x1b" not in message
    after = (*RUNTIME, replace(EXTRA, payload=b"2"))
    assert "extra" in str(refusal(runtime(*after)))


def test_only_dstack_s_own_events_belong_in_rtmr3() -> None:
    foreign = DstackEvent(register=3, type=0x0D, digest=EXTRA.digest, name="extra", payload=b"1")
    assert "type 0xd" in str(refusal(runtime(foreign, *RUNTIME)))


# --- the firmware's events ---


def boot(*events: TcgEvent) -> MeasuredEvents:
    return events_of(bundle(ccel(*events)))


def secure_boot(value: bytes, **changes: Any) -> TcgEvent:
    return event(0, VARIABLE, variable("SecureBoot", value, **changes))


@pytest.mark.parametrize(("value", "told"), [(b"\1", True), (b"\0", False), (b"", False)], ids=["on", "off", "unset"])
def test_secure_boot(value: bytes, told: bool) -> None:
    assert boot(secure_boot(value), END_OF_FIRMWARE).secure_boot is told


def test_secure_boot_is_the_firmware_s_word_only() -> None:
    on = secure_boot(b"\1")
    silent = {
        "after the separator": (END_OF_FIRMWARE, on),
        "without a separator": (on,),
        "a separator of another kind": (on, event(0, SEPARATOR, b"\0\0\0\1")),
        "a separator in another register": (on, event(1, SEPARATOR, bytes(4))),
        "in another register": (replace(on, register=2), END_OF_FIRMWARE),
        "of another vendor": (secure_boot(b"\1", vendor=IMAGE_SECURITY), END_OF_FIRMWARE),
        "of another name": (event(0, VARIABLE, variable("SecureBoots", b"\1")), END_OF_FIRMWARE),
        "of another type": (replace(on, type=IPL), END_OF_FIRMWARE),
        "data that was not measured": (replace(secure_boot(b"\0"), data=on.data), END_OF_FIRMWARE),
    }
    for name, events in silent.items():
        told = boot(*events)
        assert (told.secure_boot, dict(told.secure_boot_keys)) == (None, {}), name
    # It is the digest that ends the firmware's part: what a separator is called is not measured.
    assert boot(replace(END_OF_FIRMWARE, type=IPL, data=b"nothing"), on).secure_boot is None


@pytest.mark.parametrize("off", [b"\0", b""], ids=["zero", "absent"])
def test_a_host_cannot_have_secure_boot_measured_on_beside_the_true_word(off: bytes) -> None:
    """Tables that the host writes are measured there too: these read as a variable, and the true one as a blob."""
    forged, true = secure_boot(b"\1"), replace(secure_boot(off), type=0x8000000A, data=b"a table")
    assert boot(forged, END_OF_FIRMWARE, true).secure_boot is True  # whatever comes later is not the firmware's
    for events in ((forged, true), (true, forged)):
        with pytest.raises(NotAuthentic, match="under another name"):
            boot(*events, END_OF_FIRMWARE)


def test_the_keys_of_secure_boot() -> None:
    keys = {
        name: event(0, VARIABLE, variable(name, b"key", vendor=vendor))
        for name, vendor in (("PK", GLOBAL), ("KEK", GLOBAL), ("db", IMAGE_SECURITY), ("dbx", IMAGE_SECURITY))
    }
    told = boot(*keys.values(), END_OF_FIRMWARE).secure_boot_keys
    assert told == {name: each.digests[0] for name, each in keys.items()}
    with pytest.raises(TypeError):
        told["db"] = b""  # type: ignore[index]
    assert not boot(event(0, VARIABLE, variable("db", b"key", vendor=GLOBAL)), END_OF_FIRMWARE).secure_boot_keys


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param((secure_boot(b"\1"), secure_boot(b"\1")), "twice", id="twice"),
        pytest.param((DB, DB), "twice", id="db twice"),
        pytest.param((secure_boot(b"\2"),), "neither on nor off", id="two"),
        pytest.param((secure_boot(b"\1\0"),), "neither on nor off", id="two bytes"),
        pytest.param((secure_boot(b"\1", stated=0),), "length", id="longer than stated"),
        pytest.param((secure_boot(b"\1", stated=2),), "length", id="shorter than stated"),
        pytest.param((event(0, VARIABLE, bytes(31)),), "cut short", id="no head"),
        pytest.param((event(0, VARIABLE, bytes(16) + b"\2" + bytes(15) + b"S\0"),), "length", id="half a name"),
    ],
)
def test_variables_that_cannot_be(events: tuple[TcgEvent, ...], reason: str) -> None:
    assert reason in str(refusal(bundle(ccel(*events, END_OF_FIRMWARE))))
    assert boot(END_OF_FIRMWARE, *events).secure_boot is None


# --- the loader's events ---


def loader(*events: TcgEvent) -> LoaderEvents | None:
    return boot(*events).loader


def test_what_grub_says() -> None:
    line, kernel = COMMAND_LINE.digests[0], KERNEL.digests[0]
    told = LoaderEvents(command_line="/vmlinuz ro", command_line_digest=line, kernel=kernel)
    assert loader(KERNEL, COMMAND_LINE) == told
    assert loader(KERNEL, COMMAND_LINE, KERNEL, COMMAND_LINE) == told
    assert loader(COMMAND_LINE) == replace(told, kernel=None)
    assert loader(replace(KERNEL, data=b"/other\0"), COMMAND_LINE) == replace(told, kernel=None)
    other = event(2, IPL, b"kernel_cmdline: /vmlinuz rw\0", b"/vmlinuz rw")
    assert loader(KERNEL, COMMAND_LINE, other) == LoaderEvents(kernel=kernel)
    silent = (
        replace(COMMAND_LINE, data=b"kernel_cmdline: /vmlinuz rw\0"),
        replace(COMMAND_LINE, data=b"kernel_cmdline: /vmlinuz ro"),
        replace(COMMAND_LINE, data=b"grub_cmd: linux /vmlinuz ro\0"),
        replace(COMMAND_LINE, type=TAG),
        replace(COMMAND_LINE, register=2),
    )
    for each in silent:
        assert loader(KERNEL, each) is None


def test_what_systemd_s_stub_says() -> None:
    sections = {".linux": b"kernel", ".initrd": b"initrd", ".cmdline": b"ro", ".osrel": b"name"}
    events = [
        each
        for name, content in sections.items()
        for each in (
            event(2, IPL, (name + "\0").encode("utf-16-le"), name.encode() + b"\0"),
            event(2, IPL, (name + "\0").encode("utf-16-le"), content),
        )
    ]
    kernel, initrd, line = (TcgAlgorithm.SHA384.digest(part) for part in (b"kernel", b"initrd", b"ro"))
    assert loader(*events) == LoaderEvents(kernel=kernel, initrd=initrd, command_line_digest=line)
    assert loader(*events[1:]) == LoaderEvents(initrd=initrd, command_line_digest=line)
    assert loader(*(replace(each, type=TAG) for each in events)) is None
    assert loader(event(2, IPL, b"", b".linux")) is None


def test_what_linux_s_own_stub_says() -> None:
    options = event(2, TAG, (0x8F3B22ED).to_bytes(4, "little") + bytes(4), b"ro")
    initrd = event(2, TAG, (0x8F3B22EC).to_bytes(4, "little") + bytes(4), b"initrd")
    assert loader(options, initrd) == LoaderEvents(command_line_digest=options.digests[0], initrd=initrd.digests[0])
    assert loader(replace(initrd, type=IPL)) is None
    assert loader(event(2, TAG, b"tag!")) is None


def test_a_log_may_have_other_algorithms_beside_sha_384() -> None:
    algorithms = (TcgAlgorithm.SHA256, *SHA384)
    events = tuple(TcgEvent.measured(each.register, each.type, each.data, algorithms) for each in BOOT[:3])
    log = EventLog(spec=SpecId(algorithms=algorithms), events=events)
    assert events_of(bundle(log)).secure_boot is True
