"""What we verified of a device, in the words of NVIDIA's own attestation service (NRAS, claims version 3.0).

For whoever compares the two, or has rules that were written for NVIDIA's tokens.  It is no token: nobody signed it.

A claim is made of checks that were performed and passed, and left out where one was not: "not performed" is neither
true nor false.  Never stated are ``secboot``, ``dbgstat`` and ``oemid``, which no report says; what a token says of
itself (``iss``, ``iat``, ``nbf``, ``exp``, ``jti``); until when a chain holds, and warnings.  One is ours and always
stated: ``hermetic.simulated``, for a simulated device satisfies every rule that knows NVIDIA's names only.
"""

from __future__ import annotations

from collections.abc import Mapping

from hermetic.verify._checks import Outcome
from hermetic.verify._nvidia_claims import DeviceClaims

__all__ = ["nras_claims"]

NrasValue = str | bool | Mapping[str, str]

_REPORT = {
    "arch-check": "nvidia.model",
    "attestation-report-parsed": "nvidia.format",
    "attestation-report-nonce-match": "nvidia.nonce",
    "attestation-report-signature-verified": "nvidia.signature",
    "attestation-report-cert-chain-fwid-match": "nvidia.fwid",
}
_MANIFEST = {
    "fetched": "nvidia.{}-rim",
    "schema-validated": "nvidia.{}-rim.format",
    "signature-verified": "nvidia.{}-rim.signature",
    "version-match": "nvidia.{}-rim.version",
    "measurements-available": "nvidia.measurements.{}",
}
_CHAIN = ("chain.root", "chain", "validity")
_NO_CONFLICT = "nvidia.measurements.no-conflict"


def nras_claims(device: DeviceClaims) -> dict[str, NrasValue]:
    """NRAS's claims about one GPU or switch, as far as they were verified here."""
    performed = {check.name: check.outcome is Outcome.PASS for check in device.checks}
    kind = "switch" if device.model.is_switch else "gpu"
    # What we call firmware is a GPU's VBIOS and a switch's BIOS; a switch has no driver of its own.
    firmware = "bios" if device.model.is_switch else "vbios"
    manifests = {"firmware": firmware} if device.model.is_switch else {"driver": "driver", "firmware": firmware}

    named: dict[str, NrasValue] = {f"{firmware}-version": device.firmware_version}
    if device.driver_version is not None:
        named["driver-version"] = device.driver_version
    named |= {name: True for name, check in _REPORT.items() if performed.get(check, False)}
    named |= _chain("attestation-report-cert-chain", "nvidia", performed)
    for ours, theirs in manifests.items():
        passed = (name for name, check in _MANIFEST.items() if performed.get(check.format(ours), False))
        named |= {f"{theirs}-rim-{name}": True for name in passed}
        named |= _chain(f"{theirs}-rim-cert-chain", f"nvidia.{ours}-rim", performed)
    if performed.get(_NO_CONFLICT, False):
        named[f"{firmware}-index-no-conflict"] = True

    claims: dict[str, NrasValue] = {
        "hermetic.simulated": device.simulated,
        "hwmodel": device.model.name,
        "ueid": device.ueid,
    }
    if performed.get("nvidia.nonce", False):
        claims["eat_nonce"] = device.nonce.hex()
    if all(performed.get(f"nvidia.measurements.{ours}", False) for ours in manifests):
        claims["measres"] = "success"
    return claims | {f"x-nvidia-{kind}-{name}": value for name, value in named.items()}


def _chain(name: str, prefix: str, performed: Mapping[str, bool]) -> dict[str, NrasValue]:
    """What NRAS says of a chain: that it holds, and that nobody on it was revoked, where somebody answered for each."""
    if not all(performed.get(f"{prefix}.{part}", False) for part in _CHAIN):
        return {}
    asked = [passed for check, passed in performed.items() if check.startswith(f"{prefix}.revocation.")]
    good = {"x-nvidia-cert-ocsp-status": "good"} if asked and all(asked) else {}
    return {name: {"x-nvidia-cert-status": "valid", **good}}
