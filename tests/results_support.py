"""Verdicts for tests: parts and checks as they are needed, and keys that are the same in every run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.results import Claim, Part, Source, Verdict, VerifierId
from hermetic.verify import Check, Outcome
from hermetic.wire import sha256_digest
from vectors import ROOT

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = sha256_digest(b"a policy")
VERIFIER = VerifierId(developer="Hermetic", build="hermetic test")
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(int.from_bytes(bytes(range(1, 33)), "big"), ec.SECP256R1())
EAR_VECTORS = ROOT / "independent" / "ear"

AUTHENTIC = ("snp.signature", "dcap.tcb", "gpu0.nvidia.signature")
SNP_POLICY = ("policy.snp.measurement", "policy.snp.tcb", "policy.snp.guest-policy.debug", "policy.snp.chip-id")


def check(name: str, outcome: Outcome = Outcome.PASS) -> Check:
    return Check(name=name, title=name, outcome=outcome, expected="this", got="this", section="test", fix="")


def checks(*names: str) -> tuple[Check, ...]:
    """Passed, unless a name ends in "!" (failed) or "?" (not performed)."""
    outcomes = {"!": Outcome.FAIL, "?": Outcome.NOT_PERFORMED}
    return tuple(check(name.rstrip("!?"), outcomes.get(name[-1], Outcome.PASS)) for name in names)


def part(name: str = "cpu0", kind: str = "sev-snp", **changes: Any) -> Part:
    stated = changes.pop("stated", {})
    claims = tuple(Claim(name=each, value=value, source=Source.EVIDENCE) for each, value in stated.items())
    fields: dict[str, Any] = {"name": name, "kind": kind, "authentic": True, "claims": claims}
    return Part(**(fields | changes))


def verdict(*names: str, parts: tuple[Part, ...] = (), **changes: Any) -> Verdict:
    """Appraised and accepted, unless a check or a change says otherwise."""
    made = checks(*(names or ("snp.signature", *SNP_POLICY)))
    fields: dict[str, Any] = {"at": AT, "parts": parts or (part(),), "checks": made, "policy": POLICY}
    return Verdict(**(fields | changes))


def recorded_key() -> ec.EllipticCurvePrivateKey:
    """The key beside the recorded claims sets."""
    jwk = json.loads((EAR_VECTORS / "skey.json").read_text())
    return ec.derive_private_key(int.from_bytes(_unb64(jwk["d"]), "big"), ec.SECP256R1())


def _unb64(text: str) -> bytes:
    from hermetic.results.jws import unb64url

    return unb64url(text, what="JWK")
