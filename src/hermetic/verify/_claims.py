"""What a platform proved about itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hermetic.evidence import Evidence, Product, SgxQuote, SnpReport, TdxQuote
from hermetic.verify._checks import Check
from hermetic.verify._measured import MeasuredEvents
from hermetic.verify.intel_pck import PckIdentity
from hermetic.verify.intel_tcb import TcbEvaluation
from hermetic.verify.roots import Root


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """Authentic evidence: the vendor's root stands behind every field.  Whether anybody wants it is not decided.

    Only :func:`hermetic.verify.verify` makes one, and always of a kind below.  ``report`` is the evidence, parsed.
    ``product`` is a name for people, ``chip_id`` what tells this chip from others, empty where the platform masks it.
    ``provider`` is the cloud provider that a certificate names, or None.  ``measurement`` is of what was launched,
    ``host_data`` what whoever launched it bound to it, ``report_data`` (64 bytes) what it says itself.  ``dates`` are
    those of authentic endorsements (certificates' notBefore, lists' thisUpdate): no honest clock is earlier.
    """

    tee: str
    root: Root
    product: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SnpClaims(PlatformClaims):
    """Of a SEV-SNP guest.  ``measurement`` is 48 bytes, ``host_data`` 32.

    ``chip_id`` is the identity that the chip's certificate names or, under a VLEK, what the firmware says; ``provider``
    is the one that a VLEK's certificate names.
    """

    product: Product
    report: SnpReport = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntelClaims(PlatformClaims):
    """Of a TDX trust domain or an SGX enclave.

    TDX: ``measurement`` is MRTD (48 bytes), ``host_data`` MRCONFIGID (48).  SGX: MRENCLAVE (32) and CONFIGID (64).
    ``chip_id`` is the PPID.  ``pck`` is what the platform's certificate says of it, ``tcb`` what Intel says of its
    firmware: authentic both, and nobody has judged them yet.  ``events`` is what the event logs say that came along,
    once the signed registers agreed with them; None where none came.
    """

    report: TdxQuote | SgxQuote = field(repr=False)
    pck: PckIdentity
    tcb: TcbEvaluation
    events: MeasuredEvents | None = None
