"""What a file can turn out to be.  Nothing in any of these is believed: a form is a shape, not a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hermetic.evidence._nvidia_bundle import DeviceBundle
from hermetic.evidence.bundle import EvidenceBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPart:
    """Evidence of a platform, with the endorsements that the file brought along."""

    bundle: EvidenceBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePart:
    """Evidence of a device with its chain.  ``nonce`` is what whoever wrote the file says was asked, or None."""

    bundle: DeviceBundle
    nonce: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceReportPart:
    """The report of a device alone: its chain is in a file of its own."""

    report: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesPart:
    """Certificates in DER, in the order of the file."""

    certificates: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationPart:
    """A revocation list (``ocsp`` False) or an OCSP response, in DER."""

    der: bytes = field(repr=False)
    ocsp: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPart:
    """A reference integrity manifest of NVIDIA's.  ``product`` and ``version`` are what it says it is for."""

    document: bytes = field(repr=False)
    product: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralPart:
    """Endorsements of an Intel quote by the names that a bundle has for them."""

    endorsements: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogPart:
    """A log of what was measured, ``"ccel"`` or ``"dstack"``: worth nothing until the registers agree."""

    name: str
    log: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationPart:
    """An attestation report of ours, still as bytes: :class:`hermetic.identity.AttestationReport` reads it."""

    document: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignPart:
    """Evidence of a kind that this version knows by its shape and does not verify."""

    kind: str


Part = (
    PlatformPart
    | DevicePart
    | DeviceReportPart
    | CertificatesPart
    | RevocationPart
    | ManifestPart
    | CollateralPart
    | EventLogPart
    | AttestationPart
    | ForeignPart
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """``form`` is the shape in words for a person; ``parts`` is what was found in it, in order, never empty."""

    form: str
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, form: str, *parts: Part) -> Recognised:
        return cls(form=form, parts=parts)

    @classmethod
    def foreign(cls, kind: str) -> Recognised:
        return cls(form=kind, parts=(ForeignPart(kind=kind),))

    @property
    def unverifiable(self) -> str | None:
        """The kind of evidence that was recognised and is not verified by this version, or None."""
        return next((part.kind for part in self.parts if isinstance(part, ForeignPart)), None)
