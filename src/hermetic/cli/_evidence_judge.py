"""What ``hermetic evidence verify`` asks, and whom it trusts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hermetic.cli._files import read_file
from hermetic.cli._time import time_at
from hermetic.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from hermetic.cli._evidence_files import Gathered
    from hermetic.identity import Purpose
    from hermetic.policy import PlatformPolicy, Policy
    from hermetic.results import Verdict
    from hermetic.results.jws import SigningKey

__all__ = ["PURPOSES", "Question", "ear_token", "signing_key", "time_of", "unhex_option"]


PURPOSES = ("session", "release", "broker", "job", "federate")
"""Those of :class:`hermetic.identity.Purpose`, without importing it for ``--help``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the evidence must answer.  None is "not performed", never a pass."""

    nonce: bytes | None
    report_data: bytes | None
    purpose: Purpose

    @classmethod
    def of(cls, gathered: Gathered, *, nonce: str | None, report_data: str | None, purpose: str) -> Question:
        """Raises Misconfigured for a question that this evidence cannot be asked."""
        from hermetic.identity import Purpose

        if gathered.report is not None and report_data is not None:
            raise Misconfigured("an attestation report makes its report data itself: give the --nonce that was asked")
        if gathered.report is None and not gathered.devices and nonce is not None:
            raise Misconfigured("a bare platform carries report data, not a nonce: give --report-data")
        if gathered.platform is None and report_data is not None:
            raise Misconfigured("devices carry a nonce, not report data: give --nonce")
        return cls(
            nonce=unhex_option(nonce, "--nonce", 32),
            report_data=unhex_option(report_data, "--report-data", 64),
            purpose=Purpose[purpose.upper()],
        )

    def judge(self, gathered: Gathered, policy: Path | None, now: datetime, *, allow_simulated: bool) -> Verdict:
        """The verdict; a refusal is in it.  Raises Misconfigured for a policy that cannot be used."""
        if policy is None and allow_simulated:
            raise Misconfigured(
                "--allow-simulated needs a policy, which pins whose simulation is meant",
                fix="give --policy policy.toml with simulated_root (hermetic simulator root prints it)",
            )
        from hermetic.policy import Policy, trusted_roots
        from hermetic.results import examine, examine_report

        if gathered.report is not None:
            wanted = None if policy is None else Policy.load(policy)
            roots, device_roots = trusted_roots(wanted, allow_simulated=allow_simulated)
            return examine_report(
                gathered.report,
                roots=roots,
                device_roots=device_roots,
                now=now,
                purpose=self.purpose,
                nonce=self.nonce,
                policy=wanted,
            )
        assert gathered.evidence is not None  # noqa: S101 - it is one or the other
        judge = None if policy is None else _any_policy(policy)
        roots, device_roots = trusted_roots(judge, allow_simulated=allow_simulated)
        return examine(
            gathered.evidence,
            roots=roots,
            device_roots=device_roots,
            now=now,
            report_data=self.report_data,
            nonce=self.nonce,
            policy=judge,
        )


def _any_policy(path: Path) -> Policy | PlatformPolicy:
    """With or without a workload, and linted.  Raises Misconfigured."""
    from hermetic.policy import beside, parse_any
    from hermetic.policy.lint import require_sound
    from hermetic.policy.platform import read_policy

    # Read once, so that what is linted is what judges.
    return require_sound(parse_any(read_policy(path), name=str(path), files=beside(path)), str(path))


def time_of(text: str | None) -> datetime:
    """``--at``, or now: never earlier than what signed documents have shown.  Raises Misconfigured."""
    if text is None:
        from hermetic.client.clock import FlooredClock
        from hermetic.client.folders import state_folder

        return FlooredClock(state_folder() / "clock.json").now()
    return time_at(text)


def signing_key(ear: Path | None, key: Path | None) -> SigningKey | None:
    """The key of ``--ear-key``.  Raises Misconfigured where only one of the two options is given.

    A key that is made for one result would vouch for nothing, so none is made here.
    """
    if (ear is None) != (key is None):
        raise Misconfigured(
            "--ear and --ear-key go together: a result is worth what the key that signs it is worth",
            fix="make a key once, and give its public half to whoever reads your results: "
            "hermetic keygen --owner --output ear.key",
        )
    return None if key is None else _private_key(key)


def _private_key(path: Path) -> SigningKey:
    """Ed25519 (``hermetic keygen --owner``) or P-256, PKCS #8 PEM.  Its contents are never quoted."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_file(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Malformed(
            f"{path}: not an unencrypted private key in PEM", fix="make one: hermetic keygen --owner"
        ) from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise Malformed(f"{path}: results are signed with Ed25519 or P-256", fix="make a key: hermetic keygen --owner")


def ear_token(verdict: Verdict, key: SigningKey, profile: str) -> bytes:
    """The verdict as a signed token, on a line of its own.  It is issued now, whatever time was judged."""
    from hermetic import __version__
    from hermetic.results import Profile, VerifierId, sign_ear

    token = sign_ear(
        verdict,
        key,
        issued=time_of(None),
        verifier=VerifierId(developer="Hermetic", build=f"hermetic {__version__}"),
        profile=Profile[profile.upper()],
    )
    return token.encode("ascii") + b"\n"


def unhex_option(text: str | None, option: str, length: int) -> bytes | None:
    """The bytes that an option gives in hex.  Raises Misconfigured."""
    from hermetic.wire import unhex

    try:
        return None if text is None else unhex(text.lower(), what=option, length=length)
    except Malformed as error:
        raise Misconfigured(error.message) from error
