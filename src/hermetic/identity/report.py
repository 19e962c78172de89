"""The attestation report: evidence together with everything it binds, in one document that can be kept and shown.

    {"version", "purpose", "nonce", "context_digest", "devices_digest", "keyset", "launch", "evidence"}

A parsed report is only what somebody wrote.  :func:`verify_report` turns it into Claims.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence import EvidenceBundle
from hermetic.identity._fields import digest, exactly
from hermetic.identity.binding import NO_CONTEXT, NO_DEVICES, NONCE_BYTES, Binding, Purpose
from hermetic.identity.keyset import Keyset
from hermetic.identity.launch import LaunchDocument
from hermetic.verify import Check, Outcome, PlatformClaims, Root, verify
from hermetic.wire import Digest, canonical, parse_object, sha256_digest, unhex

__all__ = ["AttestationReport", "Claims", "verify_report"]

_VERSION = "hermetic.attestation.v1"
_SECTION = "protocol: what evidence binds"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """Evidence, the keyset and launch document it binds, and why it was made.  Nothing in it is trusted yet."""

    binding: Binding
    keyset: Keyset
    launch: LaunchDocument
    evidence: EvidenceBundle

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
        }

    def to_bytes(self) -> bytes:
        return canonical(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes | str) -> AttestationReport:
        return cls.from_json(parse_object(data, what="attestation report", limit=1024 * 1024))

    @classmethod
    def from_json(cls, obj: object) -> AttestationReport:
        """Raises Malformed on anything unknown, missing or of the wrong form."""
        names = frozenset(
            {"version", "purpose", "nonce", "context_digest", "devices_digest", "keyset", "launch", "evidence"}
        )
        fields = exactly(obj, names, what="attestation report")
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
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a verified report says: this platform, running this launch document, holds these keys.  Not yet wanted.

    ``fresh`` tells whether the caller's own nonce was compared; a policy never accepts stale claims for talking or
    releasing.  ``at`` is the time they were verified for.  ``checks`` lists every check with its outcome.
    """

    platform: PlatformClaims
    keyset: Keyset
    launch: LaunchDocument
    binding: Binding
    checks: tuple[Check, ...]
    at: datetime
    fresh: bool

    @property
    def simulated(self) -> bool:
        """Derived from the root that verified, never from what the evidence says of itself."""
        return self.platform.simulated


def verify_report(
    report: AttestationReport,
    *,
    roots: tuple[Root, ...],
    now: datetime,
    purpose: Purpose,
    nonce: bytes | None,
    context_digest: Digest = NO_CONTEXT,
    crl_required: bool = True,
) -> Claims:
    """Is the report authentic, ours and alive?  Raises NotAuthentic at the first check that fails.

    ``nonce`` is the one the caller chose, or None when a kept report is examined later: freshness is then "not
    performed".  ``now`` is an aware UTC time.
    """
    # 1. It was made for this purpose, this exchange and this question.
    checks = [
        _expect("binding.purpose", "The evidence was made for this purpose", str(purpose), report.binding.purpose)
    ]
    checks.append(
        _expect("binding.context", "It is about this exchange", context_digest, report.binding.context_digest)
    )
    checks.append(_expect("binding.devices", "It binds no devices", NO_DEVICES, report.binding.devices_digest))
    checks.append(_freshness(nonce, report.binding.nonce))

    # 2. The hardware signed exactly these fields: nonce, keyset, launch document, context.
    platform = verify(
        report.evidence,
        roots=roots,
        now=now,
        report_data=report.binding.report_data(),
        crl_required=crl_required,
    )
    checks += platform.checks

    # 3. The platform was told, before it started, to launch exactly this document.
    launch_digest = bytes.fromhex(report.launch.digest.removeprefix("sha256:"))
    checks.append(
        _expect(
            "launch.host-data",
            "The launch document is the one the platform was started with",
            launch_digest.hex(),
            platform.host_data.hex(),
        )
    )

    # 4. The keyset speaks for that service and is alive.
    checks.append(
        _expect(
            "keyset.subject", "The keys speak for the launched service", report.launch.service, report.keyset.subject
        )
    )
    checks.append(_alive(report.keyset, now))
    return Claims(
        platform=platform,
        keyset=report.keyset,
        launch=report.launch,
        binding=report.binding,
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
