"""How a simulated TDX trust domain and its machine are set up: one knob for each thing that a policy can ask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from hermetic.evidence import DstackEvent, DstackLog, EventLog, TcgAlgorithm, TdAttributes, TdFlag, TdReport
from hermetic.sources.simulator.intel_machine import (
    HEALTHY_JUDGEMENT,
    HEALTHY_MACHINE,
    IntelJudgement,
    IntelMachine,
)

SIMULATED_TD_MEASUREMENT = hashlib.sha384(b"hermetic simulated trust domain v1").digest()
"""MRTD of a simulated domain unless told otherwise (48 bytes): there is no firmware, so it names none."""

SIMULATED_TDX_MODULE = hashlib.sha384(b"hermetic simulated TDX module v1").digest()
"""MRSEAM of the simulated TDX module (48 bytes)."""

LAUNCH_EVENT, BOUNDARY_EVENT = "hermetic-launch-digest", "system-ready"
"""The event that holds the launch digest, and the one after which dstack lets the application speak."""

_ZERO = bytes(48)
_HEALTHY = TdAttributes(flags=TdFlag.SEPT_VE_DISABLE)


def module_svn(minor: int = 7, major: int = 1, microcode: int = 5) -> bytes:
    """TEE_TCB_SVN (16 bytes) of a version of the TDX module."""
    return bytes((minor, major, microcode, *bytes(13)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TdxPlatform:
    """A domain and the machine under it, healthy unless told otherwise.

    ``version`` is the quote's; a report of TDX 1.5 (``tdx_1_5``) needs 5, and in 4 it is one of 1.0.  ``launched_by``
    is the version of the module that launched the domain (see :func:`module_svn`), ``run_by`` of the one that runs it
    now, which only TDX 1.5 reports; None: the same one.  ``judgement`` is what Intel says of such machines.

    ``ccel`` is the firmware's log, of which ``rtmrs`` 0 to 2 then follow.  ``events`` are names and payloads that
    dstack measures into RTMR3 before its boundary, ``later_events`` after it; None: this is no dstack.  With
    ``launch_event`` the launch digest is one of them, and MRCONFIGID is zero.
    """

    version: int = 5
    tdx_1_5: bool = True
    attributes: TdAttributes = _HEALTHY
    xfam: int = 0xE7
    mr_td: bytes = SIMULATED_TD_MEASUREMENT
    mr_seam: bytes = SIMULATED_TDX_MODULE
    mr_signer_seam: bytes = _ZERO
    seam_attributes: bytes = bytes(8)
    launched_by: bytes = field(default_factory=module_svn)
    run_by: bytes | None = None
    mr_owner: bytes = _ZERO
    mr_owner_config: bytes = _ZERO
    mr_service_td: bytes = _ZERO
    rtmrs: tuple[bytes, bytes, bytes, bytes] = (_ZERO, _ZERO, _ZERO, _ZERO)
    ccel: EventLog | None = None
    events: tuple[tuple[str, bytes], ...] | None = None
    later_events: tuple[tuple[str, bytes], ...] = ()
    launch_event: bool = False
    machine: IntelMachine = HEALTHY_MACHINE
    judgement: IntelJudgement = HEALTHY_JUDGEMENT

    def event_logs(self, launch_digest: bytes) -> dict[str, bytes]:
        """The logs that come with the evidence, by name; ``launch_digest`` is 32 bytes."""
        dstack = self._dstack(launch_digest)
        logs = {} if self.ccel is None else {"ccel": self.ccel.to_bytes()}
        return logs if dstack is None else {**logs, "dstack": dstack.to_bytes()}

    def report(self, *, report_data: bytes, launch_digest: bytes) -> TdReport:
        """The report, not yet signed; ``launch_digest`` (32 bytes) is in it once."""
        later = self.tdx_1_5 and self.version >= 5
        return TdReport(
            tee_tcb_svn=self.launched_by,
            mr_seam=self.mr_seam,
            mr_signer_seam=self.mr_signer_seam,
            seam_attributes=self.seam_attributes,
            td_attributes=self.attributes,
            xfam=self.xfam,
            mr_td=self.mr_td,
            mr_config_id=_ZERO if self.launch_event else launch_digest.ljust(len(_ZERO), b"\0"),
            mr_owner=self.mr_owner,
            mr_owner_config=self.mr_owner_config,
            rtmrs=self._registers(launch_digest),
            report_data=report_data,
            tee_tcb_svn2=(self.run_by or self.launched_by) if later else None,
            mr_service_td=self.mr_service_td if later else None,
        )

    def _registers(self, launch_digest: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        """RTMR0 to RTMR3: what the logs extend, and ``rtmrs`` where they are silent."""
        dstack = self._dstack(launch_digest)
        extended = {} if dstack is None else dict(dstack.registers())
        if self.ccel is not None:
            extended |= {index - 1: value for index, value in self.ccel.registers(TcgAlgorithm.SHA384).items()}
        first, second, third, fourth = (extended.get(number, value) for number, value in enumerate(self.rtmrs))
        return first, second, third, fourth

    def _dstack(self, launch_digest: bytes) -> DstackLog | None:
        if self.events is None and not self.launch_event:
            return None
        launch = ((LAUNCH_EVENT, launch_digest),) if self.launch_event else ()
        told = (*(self.events or ()), *launch, (BOUNDARY_EVENT, b""), *self.later_events)
        return DstackLog(events=tuple(DstackEvent.runtime(name, payload) for name, payload in told))
