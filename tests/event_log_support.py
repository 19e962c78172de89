"""Event logs of our own, and quotes of our own Intel whose registers they end in."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hermetic.evidence import (
    DstackEvent,
    DstackLog,
    EventLog,
    EvidenceBundle,
    SpecId,
    TcgAlgorithm,
    TcgEvent,
)
from hermetic.verify import IntelClaims, verify
from intel_forge import NOW, REPORT_DATA, TD_REPORT, Intel

SHA384 = (TcgAlgorithm.SHA384,)
GLOBAL, IMAGE_SECURITY = "8be4df61-93ca-11d2-aa0d-00e098032b8c", "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
VARIABLE, SEPARATOR, IPL, TAG = 0x80000001, 0x04, 0x0D, 0x06
APP_ID, COMPOSE, INSTANCE, LAUNCH = bytes(range(20)), bytes(range(32)), bytes(range(20, 40)), bytes(range(1, 33))
PROVIDER = b'{"name":"kms","id":"00"}'


def event(register: int, kind: int, data: bytes, measured: bytes | None = None) -> TcgEvent:
    """An event of RTMR ``register``, over its data or over what was ``measured`` instead."""
    digest = TcgAlgorithm.SHA384.digest(data if measured is None else measured)
    return TcgEvent(register=register + 1, type=kind, digests=(digest,), data=data)


def variable(name: str, value: bytes, *, vendor: str = GLOBAL, stated: int | None = None) -> bytes:
    """UEFI_VARIABLE_DATA."""
    length = len(value) if stated is None else stated
    text = name.encode("utf-16-le")
    return UUID(vendor).bytes_le + len(name).to_bytes(8, "little") + length.to_bytes(8, "little") + text + value


SECURE_BOOT = event(0, VARIABLE, variable("SecureBoot", b"\1"))
DB = event(0, VARIABLE, variable("db", b"certificates", vendor=IMAGE_SECURITY))
END_OF_FIRMWARE = event(0, SEPARATOR, bytes(4))
COMMAND_LINE = event(2, IPL, b"kernel_cmdline: /vmlinuz ro\0", b"/vmlinuz ro")
KERNEL = event(2, IPL, b"/vmlinuz\0", b"the kernel")
BOOT = (SECURE_BOOT, DB, END_OF_FIRMWARE, event(1, SEPARATOR, bytes(4)), KERNEL, COMMAND_LINE)

RUNTIME = (
    DstackEvent.runtime("system-preparing"),
    DstackEvent.runtime("app-id", APP_ID),
    DstackEvent.runtime("compose-hash", COMPOSE),
    DstackEvent.runtime("instance-id", INSTANCE),
    DstackEvent.runtime("boot-mr-done"),
    DstackEvent.runtime("key-provider", PROVIDER),
    DstackEvent.runtime("hermetic-launch-digest", LAUNCH),
    DstackEvent.runtime("system-ready"),
)


def ccel(*events: TcgEvent) -> EventLog:
    return EventLog(spec=SpecId(algorithms=SHA384, register=1), events=events)


CCEL = ccel(*BOOT).to_bytes()
"""A log as collectors hand it over."""


def dstack(*events: DstackEvent) -> DstackLog:
    return DstackLog(events=events)


def bundle(boot: EventLog | None = None, runtime: DstackLog | None = None, **logs: bytes | None) -> EvidenceBundle:
    """A quote whose registers are those that ``boot`` and ``runtime`` end in, with both logs or with other ``logs``."""
    rtmrs = [bytes(48)] * 4
    held: dict[str, bytes | None] = {}
    if boot is not None:
        held["ccel"] = boot.to_bytes()
        for index, value in boot.registers(TcgAlgorithm.SHA384).items():
            rtmrs[index - 1] = value
    if runtime is not None:
        held["dstack"] = runtime.to_bytes()
        for index, value in runtime.registers().items():
            rtmrs[index] = value
    zero, one, two, three = rtmrs
    issued = Intel(body=replace(TD_REPORT, rtmrs=(zero, one, two, three))).issue()
    sent = {name: value for name, value in (held | logs).items() if value is not None}
    return replace(issued, event_logs=sent)


def verified(whole: EvidenceBundle) -> IntelClaims:
    claims = verify(whole, roots=Intel().roots, now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    return claims
