"""Sources whose evidence comes endorsed: what a server staples, its clients need not fetch."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from hermetic.evidence import DeviceSource, EvidenceBundle, EvidenceSource
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collateral.endorser import Endorser

__all__ = ["StapledDevices", "StapledSource"]


def utc_now() -> datetime:
    return datetime.now(UTC)


class StapledSource:
    """``source``, with what its vendor says about it.

    An endorser with ``ahead`` renews collateral before it expires, and what still holds is stapled while the vendor is
    away.  Where it no longer does, collecting raises Unavailable: a client would refuse the evidence anyway.
    """

    def __init__(self, source: EvidenceSource, endorser: Endorser, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._source = source
        self._endorser = endorser
        self._clock = clock

    @property
    def tee(self) -> str:
        return self._source.tee

    def collect(self, report_data: bytes) -> EvidenceBundle:
        """Fresh evidence over ``report_data``, endorsed for now.  Raises what the two do."""
        return self._endorser.endorse(self._source.collect(report_data), now=self._clock())


class StapledDevices:
    """A source of devices' evidence, with what the vendor says about each."""

    def __init__(self, source: DeviceSource, endorser: Endorser, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._source = source
        self._endorser = endorser
        self._clock = clock

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        """Fresh evidence of each device over ``nonce``, endorsed for now.  Raises what the two do."""
        now = self._clock()
        return tuple(self._endorser.endorse_device(device, now=now) for device in self._source.collect(nonce))
