"""Several files become what one verifier takes: an attestation report, or a platform, its devices, or both.

Reports find their chains, evidence its endorsements, logs their quote.  Nothing is believed: what was put together
wrongly is refused when it is verified.  That files were given together says nothing about standing in one machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hermetic.errors import Malformed
from hermetic.evidence._loose import Loose, is_platforms
from hermetic.evidence._nvidia_bundle import DeviceBundle
from hermetic.evidence.bundle import TDX, EvidenceBundle
from hermetic.evidence.parts import (
    AttestationPart,
    CertificatesPart,
    DevicePart,
    DeviceReportPart,
    EventLogPart,
    ForeignPart,
    ManifestPart,
    Part,
    PlatformPart,
    Recognised,
    RevocationPart,
)
from hermetic.evidence.x509 import load_certificate

__all__ = ["Assembled", "assemble"]

_BOOT_ROM = " BROM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What there is to verify: ``attestation`` (a report of ours, as bytes), or ``platform`` and ``devices``.

    ``stated`` are the nonces that whoever wrote the files says the devices were asked, in their order, None where
    nobody did.  ``manifests`` belong to devices; which one to which, :mod:`hermetic.verify.nvidia_manifests`
    tells.  What completes an attestation report is ``loose`` for its platform, :meth:`answered` for its devices.
    """

    attestation: bytes | None = None
    platform: EvidenceBundle | None = None
    devices: tuple[DeviceBundle, ...] = ()
    stated: tuple[bytes | None, ...] = ()
    manifests: tuple[ManifestPart, ...] = ()
    answers: tuple[RevocationPart, ...] = ()
    loose: Loose

    def answered(self, device: DeviceBundle) -> DeviceBundle:
        """``device`` with every answer about devices: which certificate each is about, its own signed text says."""
        ocsp, crls = ([part.der for part in self.answers if part.ocsp is kind] for kind in (True, False))
        return replace(
            device,
            ocsp=tuple(dict.fromkeys((*device.ocsp, *ocsp))),
            crls=tuple(dict.fromkeys((*device.crls, *crls))),
        )


def assemble(found: Sequence[Recognised]) -> Assembled:
    """Puts together what :func:`~hermetic.evidence.recognise` found in each file.

    Raises Malformed where that is not exactly one thing to verify: nothing but endorsements, two platforms, a report
    without its chain, an attestation report beside other evidence, or evidence of a kind that is not verified.
    """
    parts = [part for each in found for part in each.parts]
    for part in parts:
        if isinstance(part, ForeignPart):
            raise Malformed(
                f"{part.kind}: recognised, not verified by this version",
                code="evidence.unverified-kind",
                fix="this version verifies SEV-SNP, TDX, SGX and NVIDIA devices",
            )
    loose = Loose.from_parts(part for part in parts if not _is_device_chain(part))
    platform = _platform(parts)
    devices = _devices(parts)
    attestation = _attestation(parts, alone=platform is None and not devices)
    if attestation is None and platform is None and not devices:
        raise Malformed("evidence: endorsements alone; there is nothing here that they are for")
    beside = Assembled(
        manifests=tuple(part for part in parts if isinstance(part, ManifestPart)),
        answers=tuple(part for part in parts if isinstance(part, RevocationPart) and not is_platforms(part)),
        loose=loose,
    )
    return replace(
        beside,
        attestation=attestation,
        platform=None if platform is None else loose.fitted(_with_logs(platform, parts)),
        devices=tuple(beside.answered(device.bundle) for device in devices),
        stated=tuple(device.nonce for device in devices),
    )


def _attestation(parts: list[Part], *, alone: bool) -> bytes | None:
    reports = [part for part in parts if isinstance(part, AttestationPart)]
    if not reports:
        return None
    if len(reports) > 1 or not alone:
        raise Malformed("evidence: an attestation report holds all that it binds; verify it by itself")
    return reports[0].document


def _platform(parts: list[Part]) -> EvidenceBundle | None:
    platforms = [part.bundle for part in parts if isinstance(part, PlatformPart)]
    if len(platforms) > 1:
        raise Malformed("evidence: two platforms; a machine has one, so verify them one at a time")
    return platforms[0] if platforms else None


def _with_logs(platform: EvidenceBundle, parts: list[Part]) -> EvidenceBundle:
    logs = [part for part in parts if isinstance(part, EventLogPart)]
    if len({part.name for part in logs}) != len(logs):
        raise Malformed("evidence: two event logs of one kind")
    if logs and platform.tee != TDX:
        raise Malformed("evidence: an event log beside evidence that has no registers for it")
    return replace(platform, event_logs={**platform.event_logs, **{part.name: part.log for part in logs}})


def _devices(parts: list[Part]) -> list[DevicePart]:
    """Bundles as they are; bare reports with the chains that came as files, in the order of both."""
    reports = [part for part in parts if isinstance(part, DeviceReportPart)]
    chains = [part.certificates for part in parts if isinstance(part, CertificatesPart) and _is_device_chain(part)]
    if len(reports) != len(chains):
        raise Malformed(
            f"evidence: {len(reports)} device reports without a chain of their own, {len(chains)} device chains",
            fix="give each report together with the chain of its device, in the same order",
        )
    paired = [
        DevicePart(bundle=DeviceBundle(evidence=report.report, certificates=chain))
        for report, chain in zip(reports, chains, strict=True)
    ]
    return [*(part for part in parts if isinstance(part, DevicePart)), *paired]


def _is_device_chain(part: Part) -> bool:
    """Whether one of its certificates is that of a device's boot ROM: no other chain has one."""
    return isinstance(part, CertificatesPart) and any(
        load_certificate(der, "certificate").common_name.endswith(_BOOT_ROM) for der in part.certificates
    )
