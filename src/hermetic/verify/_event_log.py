"""Do the event logs that came along end in the registers that the quote signs?  DCAP 13 of a TDX quote.

Nobody signs a log.  What makes it true is that its digests, extended one after another, give RTMR0 to RTMR3 of an
authentic quote: then these are the digests that were measured, all of them and in this order.  Types, names and data
are true only where a digest covers them: ``_dstack_events`` and ``_boot_events`` know where.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from hermetic.errors import NotAuthentic
from hermetic.evidence import DstackLog, EventLog, EvidenceBundle, TcgAlgorithm, TdxQuote
from hermetic.verify._boot_events import BootEvent, boot_claims
from hermetic.verify._checks import Checklist
from hermetic.verify._dstack_events import dstack_claims
from hermetic.verify._measured import MeasuredEvents

# What each log cannot be silent about.  Of the others it may have no event: an operating system extends RTMR3 without
# the firmware's log, and dstack leaves the firmware's events out of the logs that it puts into certificates.
_CCEL_TELLS, _DSTACK_TELLS = (0, 1, 2), (3,)


def check_event_logs(checks: Checklist, bundle: EvidenceBundle, quote: TdxQuote) -> MeasuredEvents | None:
    """The events of the logs in the bundle; None, and no check, where there are none."""
    if not bundle.event_logs:
        return None
    with checks.step(
        "tdx.event-log",
        "The event logs are what the registers were extended with",
        section="DCAP 13: TCG PFP 10.4; UEFI 2.10, 38",
        expected="their digests end in the registers as signed",
        got=f"so it is, of {' and '.join(sorted(bundle.event_logs))}",
        fix="collect quote and logs again, the logs first: an event may have come between the two",
    ):
        rtmrs = quote.body.rtmrs
        boot: tuple[BootEvent, ...] = ()
        runtime: dict[str, Any] = {}
        if (data := bundle.event_logs.get("dstack")) is not None:
            dstack = DstackLog.from_bytes(data)
            _require_replayed("dstack", dstack.registers(), rtmrs, _DSTACK_TELLS)
            runtime = dstack_claims(dstack)
            boot = tuple(BootEvent.from_dstack(event) for event in dstack.events)
        if (data := bundle.event_logs.get("ccel")) is not None:
            ccel = EventLog.from_ccel(data)
            _require_replayed("ccel", _rtmrs(ccel), rtmrs, _CCEL_TELLS)
            place = ccel.algorithms.index(TcgAlgorithm.SHA384)
            boot = tuple(BootEvent.from_ccel(event, event.digests[place]) for event in ccel.events)
        return MeasuredEvents(**runtime, **boot_claims(boot))


def _rtmrs(log: EventLog) -> dict[int, bytes]:
    return {index - 1: value for index, value in log.registers(TcgAlgorithm.SHA384).items()}


def _require_replayed(
    name: str, replayed: Mapping[int, bytes], signed: tuple[bytes, ...], tells: tuple[int, ...]
) -> None:
    for number, value in enumerate(signed):
        if number in replayed or number in tells:
            got = replayed.get(number, bytes(len(value)))  # never extended
            if not hmac.compare_digest(got, value):
                raise NotAuthentic(f"{name}: RTMR{number} {got[:8].hex()}…, signed is {value[:8].hex()}…")
