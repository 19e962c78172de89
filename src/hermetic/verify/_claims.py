"""What a platform proved about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hermetic.evidence import Evidence, Product
from hermetic.verify._checks import Check
from hermetic.verify.roots import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """Authentic evidence: the vendor's root stands behind every field.  Whether anybody wants it is not decided.

    Only :func:`hermetic.verify.verify` makes one.  ``report`` is the evidence, parsed.  ``chip_id`` is the identity
    that the chip's certificate names or, under a VLEK, what the firmware says; empty where the platform masks it.
    ``provider`` is the cloud provider that a VLEK's certificate names, None under a chip's own key.
    ``report_data`` is 64 bytes, ``host_data`` 32, ``measurement`` 48.  ``dates`` are those of authentic endorsements
    (the certificates' notBefore, the list's thisUpdate): no honest clock is earlier.
    """

    tee: str
    root: Root
    product: Product
    report: Evidence = field(repr=False)
    chip_id: bytes
    provider: str | None
    measurement: bytes
    host_data: bytes
    report_data: bytes
    dates: tuple[datetime, ...]
    checks: tuple[Check, ...] = field(repr=False)

    @property
    def simulated(self) -> bool:
        """Derives solely from the root that verified, never from what the evidence says of itself."""
        return self.root.simulated
