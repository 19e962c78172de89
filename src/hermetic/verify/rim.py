"""Is this reference integrity manifest (RIM) NVIDIA's, and the one for this device?  It ends at the first failure.

RIM 1   one document of NVIDIA's shape, with one enveloped signature over all of it
RIM 2   the signer leads to the pinned CoRIM root: uses, depths, ECDSA P-384 with SHA-384; all valid now
RIM 3   nobody on the way was revoked
RIM 4   the signer signed the digest of exactly the bytes that were read
RIM 5   it is for this product, and for the very version that runs
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate, load_certificate
from hermetic.verify._algorithms import ECDSA_P384
from hermetic.verify._checks import Check, Checklist
from hermetic.verify._nvidia_manifest import GoldenMeasurement, Manifest, read_manifest
from hermetic.verify._nvidia_revocation import Revocation, check_revocation
from hermetic.verify._nvidia_xml import SignedXml, read_signed_xml
from hermetic.verify.chain import NVIDIA, require_chain, require_pinned, require_valid
from hermetic.verify.roots import Root, names_of

__all__ = ["GoldenMeasurement", "Manifest", "Revocation", "RimClaims", "read_rim", "verify_rim"]

_REMEMBERED = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class RimClaims:
    """An authentic manifest.  ``dates`` are those of its certificates: no honest clock is earlier."""

    manifest: Manifest
    root: Root
    dates: tuple[datetime, ...]
    checks: tuple[Check, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Document:
    """Everything that can be read of a document without believing it.  Compared by identity, as certificates are."""

    signed: SignedXml
    manifest: Manifest
    chain: tuple[Certificate, ...]


def verify_rim(
    document: bytes,
    *,
    roots: tuple[Root, ...],
    now: datetime,
    product: str,
    version: str,
    revocation: Revocation | None = None,
    revocation_required: bool = True,
    checks: Checklist | None = None,
    name: str = "rim",
) -> RimClaims:
    """The claims of an authentic manifest for ``product`` and ``version``.

    ``checks`` and ``name`` are for a verification that this is a part of: the checks are recorded there, under that
    name.  Raises Malformed, or NotAuthentic at the first check that fails; Misconfigured where lxml is not installed.
    """
    checks = checks or Checklist()
    # 1. It is a manifest.
    with checks.step(
        f"{name}.format",
        "The bytes are a reference integrity manifest with one signature over all of it",
        section="RIM 1: XML Signature; TCG RIM",
        expected="a manifest of NVIDIA's shape",
    ):
        read = _read(document)
    root = _check_chain(checks, read.chain, roots, now, name)  # 2
    check_revocation(  # 3
        checks,
        revocation or Revocation(),
        read.chain,
        _roles(read.chain),
        now,
        required=revocation_required,
        name=f"{name}.revocation",
        section="RIM 3: RFC 6960; RFC 5280, 5",
    )
    with checks.step(  # 4
        f"{name}.signature",
        "Its signer signed exactly these reference values",
        section="RIM 4: XML Signature, 3.2",
        expected="SHA-384 of the canonical document, and ECDSA P-384 over that",
    ):
        _require_signature(read)
    _check_identity(checks, read.manifest, product, version, name)  # 5
    dates = tuple(certificate.not_before for certificate in read.chain)
    return RimClaims(manifest=read.manifest, root=root, dates=dates, checks=checks.made)


def read_rim(document: bytes) -> tuple[Manifest, tuple[bytes, ...]]:
    """What a manifest says, and the chain that it carries, in DER and leaf first; nothing of it is believed.

    Raises Malformed, and Misconfigured where lxml is not installed.
    """
    read = _read(document)
    return read.manifest, read.signed.certificates


@lru_cache(_REMEMBERED)
def _read(document: bytes) -> _Document:
    signed = read_signed_xml(document)
    names = ("manifest signer", *(f"manifest authority {n}" for n in range(1, len(signed.certificates))))
    chain = tuple(load_certificate(der, what) for der, what in zip(signed.certificates, names, strict=True))
    # Read from the canonical bytes under the signature, never from the document that came.
    return _Document(signed=signed, manifest=read_manifest(signed.content), chain=chain)


def _check_chain(
    checks: Checklist, chain: tuple[Certificate, ...], roots: tuple[Root, ...], now: datetime, name: str
) -> Root:
    section = "RIM 2: RFC 5280, 6.1"
    with checks.step(
        f"{name}.chain.root",
        "Its signer's chain ends at a root that we pinned",
        section=section,
        expected=names_of(roots),
        got=chain[-1].digest,
    ):
        root = require_pinned(chain[-1], roots)
    with checks.step(
        f"{name}.chain",
        "Each authority on the way was entitled to name the next",
        section=section,
        expected="authorities of sufficient depth, ECDSA P-384 with SHA-384",
        got=" ← ".join(certificate.common_name for certificate in chain),
    ):
        require_chain(chain, NVIDIA)
    with checks.step(
        f"{name}.validity",
        "Its signer and the authorities are valid now",
        section=section,
        expected=f"all valid at {now:%Y-%m-%d %H:%M:%S} UTC",
        fix="fetch the manifest again: NVIDIA signs it anew before its signer expires",
    ):
        require_valid(now, *chain)
    return root


def _roles(chain: tuple[Certificate, ...]) -> dict[int, str]:
    """Who of the chain must not have been revoked: all but the root, which is pinned."""
    return {0: "signer"} | {at: f"authority-{at}" for at in range(1, len(chain) - 1)}


@lru_cache(_REMEMBERED)
def _require_signature(read: _Document) -> None:
    """Remembered, because it cannot change with time; a refusal never is."""
    signed = read.signed
    if not hmac.compare_digest(hashlib.sha384(signed.content).digest(), signed.digest):
        raise NotAuthentic("other reference values than those that were signed")
    ECDSA_P384.require_raw(read.chain[0].public_key, signed.signed_info, signed.signature)


def _check_identity(checks: Checklist, manifest: Manifest, product: str, version: str, name: str) -> None:
    section = "RIM 5: TCG RIM, Meta"
    with checks.step(
        f"{name}.product",
        "It is for this product",
        section=section,
        expected=product,
        got=manifest.product,
        fix="another product's manifest was fetched: NVIDIA serves one under a name of the other generation",
    ):
        if manifest.product != product:
            raise NotAuthentic(manifest.product)
    with checks.step(f"{name}.version", "It is for the very version that runs", section=section, expected=version):
        if manifest.version != version:
            raise NotAuthentic(manifest.version)
