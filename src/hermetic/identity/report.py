"""The attestation report: evidence together with everything it binds, in one document that can be kept and shown.

    {"version", "purpose", "nonce", "context_digest", "devices_digest", "keyset", "launch", "evidence", "devices"}

A parsed report is only what somebody wrote.  :func:`verify_report` turns it into Claims.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence import EvidenceBundle, devices_digest, devices_from_json, devices_to_json
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.identity._devices import DeviceLink, verify_devices
from hermetic.identity._fields import digest, exactly
from hermetic.identity._launched import LaunchPlace, find_launch_digest
from hermetic.identity.binding import NO_CONTEXT, NONCE_BYTES, Binding, Purpose
from hermetic.identity.keyset import Keyset
from hermetic.identity.launch import LaunchDocument
from hermetic.verify import Check, Outcome, PlatformClaims, Root, verify
from hermetic.verify.nvidia import NVIDIA_ROOTS, DeviceClaims, NvidiaRoots
from hermetic.wire import Digest, canonical, parse_object, sha256_digest, unhex

__all__ = ["AttestationReport", "Claims", "verify_report"]

_VERSION = "hermetic.attestation.v1"
_SECTION = "protocol: what evidence binds"
_MEMBERS = frozenset(
    {
        "version", "purpose", "nonce", "context_digest", "devices_digest", "keyset", "launch", "evidence", "devices",
    }
)  # fmt: skip
_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """Evidence, the keyset and launch document it binds, and why it was made.  Nothing in it is trusted yet.

    ``devices`` is the evidence of the GPUs and switches that the platform vouches for, in the order it named them.
    """

    binding: Binding
    keyset: Keyset
    launch: LaunchDocument
    evidence: EvidenceBundle
    devices: tuple[DeviceBundle, ...] = ()

    @property
    def digest(self) -> Digest:
        """Names the document as a whole.  Never a replay key: evidence has bytes that no signature covers."""
        return sha256_digest(self.to_bytes())

    def to_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "purpose": str(self.binding.purpose),
            "nonce": self.binding.nonce.hex(),
            "context_digest": self.binding.context_digest,
            "devices_digest": self.binding.devices_digest,
            "keyset": self.keyset.to_json(),
            "launch": self.launch.to_json(),
            "evidence": self.evidence.to_json(),
            "devices": devices_to_json(self.devices),
        }

    def to_bytes(self) -> bytes:
        return canonical(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes | str) -> AttestationReport:
        return cls.from_json(parse_object(data, what="attestation report", limit=_LIMIT))

    @classmethod
    def from_json(cls, obj: object) -> AttestationReport:
        """Raises Malformed on anything unknown, missing or of the wrong form."""
        fields = exactly(obj, _MEMBERS, what="attestation report")
        if fields["version"] != _VERSION:
            raise Malformed(f"attestation report: expected version {_VERSION}")
        try:
            purpose = Purpose(fields["purpose"])
        except ValueError:
            raise Malformed("attestation report: unknown purpose") from None
        keyset = Keyset.from_json(fields["keyset"])
        launch = LaunchDocument.from_json(fields["launch"])
        return cls(
            binding=Binding(
                purpose=purpose,
                nonce=unhex(fields["nonce"], what="nonce", length=NONCE_BYTES),
                keyset_digest=keyset.digest,
                launch_digest=launch.digest,
                context_digest=digest(fields["context_digest"], what="context_digest"),
                devices_digest=digest(fields["devices_digest"], what="devices_digest"),
            ),
            keyset=keyset,
            launch=launch,
            evidence=EvidenceBundle.from_json(fields["evidence"]),
            devices=devices_from_json(fields["devices"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified report says: this platform with these devices, running this launch document, holds these keys.

    Not yet wanted.  ``fresh`` tells whether the caller's own nonce was compared; a policy never accepts stale claims
    for talking or releasing.  ``at`` is the time they were verified for.  ``checks`` lists every check with its
    outcome, those of devices under the device's name.  ``launch_place`` is where the platform signed the launch digest:
    for a policy to pin with the image, because only one of them means something to it.
    """

    platform: PlatformClaims
    keyset: Keyset
    launch: LaunchDocument
    launch_place: LaunchPlace
    binding: Binding
    checks: tuple[Check, ...]
    at: datetime
    fresh: bool
    devices: tuple[DeviceClaims, ...] = ()

    @property
    def simulated(self) -> bool:
        """Derived from the roots that verified, never from what the evidence says of itself.  One part is enough."""
        return self.platform.simulated or any(device.simulated for device in self.devices)

    @property
    def dates(self) -> tuple[datetime, ...]:
        """Those of authentic endorsements, of devices too: no honest clock is earlier, where nothing is simulated."""
        return (*self.platform.dates, *(date for device in self.devices for date in device.dates))

    @property
    def device_link(self) -> DeviceLink | None:
        """What ties the devices to the CPU; None without devices."""
        return DeviceLink.SOFTWARE if self.devices else None


def verify_report(
    report: AttestationReport,
    *,
    roots: tuple[Root, ...],
    now: datetime,
    purpose: Purpose,
    nonce: bytes | None,
    context_digest: Digest = NO_CONTEXT,
    device_roots: NvidiaRoots = NVIDIA_ROOTS,
    crl_required: bool = True,
) -> Claims:
    """Is the report authentic, ours and alive?  Raises NotAuthentic at the first check that fails.

    ``nonce`` is the one the caller chose, or None when a kept report is examined later: freshness is then "not
    performed".  ``now`` is an aware UTC time.  ``crl_required=False`` is for recorded evidence that was kept without
    the vendors' word on revocation; a policy does not accept what was then not performed.
    """
    # 1. It was made for this purpose, this exchange and this question.
    binding = report.binding
    checks = [
        _expect("binding.purpose", "The evidence was made for this purpose", str(purpose), binding.purpose),
        _expect("binding.context", "It is about this exchange", context_digest, binding.context_digest),
        _expect(
            "binding.devices",
            "It binds the evidence of exactly these devices" if report.devices else "It binds no devices",
            devices_digest(report.devices),
            binding.devices_digest,
        ),
        _freshness(nonce, binding.nonce),
    ]

    # 2. The hardware signed exactly these fields: nonce, keyset, launch document, context, devices.
    platform = verify(
        report.evidence, roots=roots, now=now, report_data=binding.report_data(), crl_required=crl_required
    )
    checks += platform.checks

    # 3. Each device is authentic, was asked by the holder of this keyset, and belongs with the others.
    devices: tuple[DeviceClaims, ...] = ()
    if report.devices:
        devices, made = verify_devices(
            report.devices,
            roots=device_roots,
            now=now,
            nonce=binding.device_nonce(),
            endorsements_required=crl_required,
        )
        checks += made

    # 4. The platform was told, before it started, to launch exactly this document.
    place, got = find_launch_digest(platform)
    launch_digest = bytes.fromhex(report.launch.digest.removeprefix("sha256:"))
    checks.append(
        _expect(
            f"launch.{place}",
            "The launch document is the one the platform was started with",
            launch_digest.ljust(place.length, b"\0").hex(),
            got.hex(),
        )
    )

    # 5. The keyset speaks for that service and is alive.
    checks.append(
        _expect(
            "keyset.subject", "The keys speak for the launched service", report.launch.service, report.keyset.subject
        )
    )
    checks.append(_alive(report.keyset, now))
    return Claims(
        platform=platform,
        devices=devices,
        keyset=report.keyset,
        launch=report.launch,
        launch_place=place,
        binding=binding,
        checks=tuple(checks),
        at=now,
        fresh=nonce is not None,
    )


def _expect(name: str, title: str, expected: str, got: str) -> Check:
    if not hmac.compare_digest(expected.encode(), got.encode()):
        raise NotAuthentic(f"{title}: expected {expected}, got {got}", code=name)
    return Check(name=name, title=title, outcome=Outcome.PASS, expected=expected, got=got, section=_SECTION)


def _freshness(asked: bytes | None, got: bytes) -> Check:
    title = "It answers the question we asked just now"
    if asked is None:
        return Check(
            name="binding.nonce",
            title=title,
            outcome=Outcome.NOT_PERFORMED,
            expected="a nonce of our own",
            got=got.hex(),
            section=_SECTION,
        )
    return _expect("binding.nonce", title, asked.hex(), got.hex())


def _alive(keyset: Keyset, now: datetime) -> Check:
    title = "The keys have not expired"
    expires = keyset.expires()
    if now >= expires:
        raise NotAuthentic(
            f"the keyset expired at {expires:%Y-%m-%d %H:%M:%S} UTC",
            code="keyset.expiry",
            fix="attest again; for a kept report give the time it was made with --at",
        )
    return Check(
        name="keyset.expiry",
        title=title,
        outcome=Outcome.PASS,
        expected=f"after {now:%Y-%m-%d %H:%M:%S} UTC",
        got=f"{expires:%Y-%m-%d %H:%M:%S} UTC",
        section=_SECTION,
    )
