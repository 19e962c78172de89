"""The files of ``hermetic evidence``: read, recognised, put together and, where that is wanted, endorsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hermetic.cli._show import console
from hermetic.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from hermetic.evidence import Composite, EvidenceBundle, Recognised
    from hermetic.evidence.nvidia import DeviceBundle
    from hermetic.identity import AttestationReport
    from hermetic.sources.collateral import Endorser, Obtained

__all__ = ["Gathered", "endorser", "gather", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One thing to verify: an attestation report, or bare evidence.  Exactly one of the two is there."""

    report: AttestationReport | None = None
    evidence: Composite | None = None

    def to_bytes(self) -> bytes:
        """The document that ``--save`` keeps."""
        held = self.report if self.report is not None else self.evidence
        assert held is not None  # noqa: S101 - exactly one is there
        return held.to_bytes()

    @property
    def platform(self) -> EvidenceBundle | None:
        if self.report is not None:
            return self.report.evidence
        return self.evidence.platform if self.evidence is not None else None

    @property
    def devices(self) -> tuple[DeviceBundle, ...]:
        held = self.report if self.report is not None else self.evidence
        return held.devices if held is not None else ()

    def endorsed(self, platform: EvidenceBundle | None, devices: tuple[DeviceBundle, ...]) -> Gathered:
        """The same evidence with other endorsements, which no digest of ours covers."""
        if self.report is not None and platform is not None:
            return replace(self, report=replace(self.report, evidence=platform, devices=devices))
        if self.evidence is not None:
            return replace(self, evidence=replace(self.evidence, platform=platform, devices=devices))
        return self


def read(path: Path) -> Recognised:
    """What the file is.  Raises Malformed naming the file, Misconfigured where it cannot be read."""
    from hermetic.evidence import recognise
    from hermetic.evidence.recognise import MAX_FILE

    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    with naming(path):
        return recognise(data)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Says which file it was that a refusal is about."""
    try:
        yield
    except Malformed as error:
        raise Malformed(f"{path}: {error.message}", code=error.code, fix=error.fix) from error


def gather(paths: Sequence[Path]) -> Gathered:
    """All files as one thing to verify.  Raises Malformed where they are none, or more than one."""
    from hermetic.evidence import Composite, assemble
    from hermetic.identity import AttestationReport
    from hermetic.verify.nvidia_manifests import fit_manifests

    found = assemble([read(path) for path in paths])
    if found.attestation is not None:
        report = AttestationReport.from_bytes(found.attestation)
        report_devices = tuple(fit_manifests(found.answered(device), found.manifests) for device in report.devices)
        return Gathered(report=replace(report, evidence=found.loose.fitted(report.evidence), devices=report_devices))
    devices = tuple(fit_manifests(bundle, found.manifests) for bundle in found.devices)
    return Gathered(evidence=Composite(platform=found.platform, devices=devices))


def endorser(collateral: Path | None, *, offline: bool) -> Endorser:
    """The vendors behind the cache of this user; offline the cache and the folder alone."""
    from hermetic.client.folders import state_folder
    from hermetic.sources.collateral import Endorser

    return Endorser(state_folder() / "collateral", offline=offline, folder=collateral)


def complete(gathered: Gathered, vendors: Endorser, now: datetime) -> tuple[Gathered, tuple[Obtained, ...]]:
    """The evidence with everything it needs at ``now``, and where each document came from.

    Raises CollateralUnavailable where something cannot be had.
    """
    obtained: list[Obtained] = []
    platform, devices = gathered.platform, []
    if platform is not None:
        made = vendors.complete(platform, now=now)
        platform, obtained = made.bundle, [*made.obtained]
    for device in gathered.devices:
        one = vendors.complete_device(device, now=now)
        devices.append(one.bundle)
        obtained += one.obtained
    return gathered.endorsed(platform, tuple(devices)), tuple(obtained)


def complete_offline(gathered: Gathered, vendors: Endorser, now: datetime) -> Gathered:
    """What can be had without asking anybody; the rest is said to be missing, and verification says what that means."""
    from hermetic.errors import NotAuthentic
    from hermetic.sources.collateral import CollateralUnavailable

    platform, devices = gathered.platform, list(gathered.devices)
    missing: list[str] = []
    if platform is not None:
        try:
            platform = vendors.complete(platform, now=now).bundle
        except CollateralUnavailable as error:
            missing += map(str, error.missing)
    for at, device in enumerate(devices):
        try:
            devices[at] = vendors.complete_device(device, now=now).bundle
        except CollateralUnavailable as error:
            missing += map(str, error.missing)
        except NotAuthentic:
            continue  # a device that is not known: verification says so, with its checks
    out = console(stderr=True)
    for line in dict.fromkeys(missing):
        out.print(f"not at hand: {line}", style="dim", soft_wrap=True, markup=False)
    return gathered.endorsed(platform, tuple(devices))
