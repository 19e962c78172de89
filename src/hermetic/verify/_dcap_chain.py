"""DCAP 2 and 7: the platform's certificate leads to a pinned root, and nothing on the way is revoked."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from hermetic.errors import NotAuthentic
from hermetic.verify._checks import Checklist
from hermetic.verify._dcap_pem import certificates_from_pem
from hermetic.verify.intel_pck import PckIdentity
from hermetic.verify.intel_x509 import p256_key, require_end_entity, require_p256_issued, require_p256_listed_by
from hermetic.verify.roots import Root
from hermetic.verify.x509 import (
    Certificate,
    RevocationList,
    load_certificate,
    load_crl,
    require_current,
    require_unrevoked,
    require_uses,
    require_valid,
)

ROOT_NAME = "Intel SGX Root CA"
_CA_NAMES = ("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA")
_PCK_NAME = "Intel SGX PCK Certificate"
_SECTION_CHAIN, _SECTION_REVOKED = "DCAP 2: Intel DCAP, 4.1.2.4.1 to 4", "DCAP 7: Intel DCAP, 4.1.2.4.5 to 7"


@dataclass(frozen=True, slots=True, kw_only=True)
class PckChain:
    """PCK certificate ← platform or processor CA ← root, read but not yet believed; ``identity`` is the PCK's word."""

    pck: Certificate
    issuer: Certificate
    root: Certificate
    root_der: bytes
    identity: PckIdentity

    @classmethod
    def from_pem(cls, pem: bytes) -> PckChain:
        """From a quote's certification data.  Raises Malformed, and NotAuthentic where it is not three certificates."""
        ders = _exactly(3, pem, "PCK chain")
        pck, issuer, root = (load_certificate(der, "PCK chain") for der in ders)
        identity = PckIdentity.from_extensions(pck.extensions)
        return cls(pck=pck, issuer=issuer, root=root, root_der=ders[2], identity=identity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The two lists: Intel's root's, and that of the CA that certified the platform, with the latter's own chain."""

    root_crl: RevocationList
    pck_crl: RevocationList
    pck_crl_issuer: Certificate
    pck_crl_root: Certificate


def pair_from_pem(pem: bytes, what: str) -> tuple[Certificate, Certificate]:
    """A signer and its root.  Raises Malformed, and NotAuthentic where it is not two certificates."""
    signer, root = (load_certificate(der, what) for der in _exactly(2, pem, what))
    return signer, root


def _exactly(count: int, pem: bytes, what: str) -> tuple[bytes, ...]:
    ders = certificates_from_pem(pem, what)
    if len(ders) != count:
        raise NotAuthentic(f"{what}: expected {count} certificates, got {len(ders)}")
    return ders


def require_same_root(root: Certificate, pinned: Certificate) -> None:
    """A second chain of the same evidence ends where the first one did."""
    if not hmac.compare_digest(root.digest, pinned.digest):
        raise NotAuthentic(f"a chain that ends at another {root.common_name}")


def check_chain(checks: Checklist, chain: PckChain, roots: tuple[Root, ...], now: datetime) -> Root:
    """DCAP 2.  The root that the caller pinned, and that ``chain`` ends at."""
    root = next((root for root in roots if hmac.compare_digest(root.sha256, chain.root.digest)), None)
    with checks.step(
        "dcap.chain.root",
        "The chain starts at a root that we pinned",
        section=_SECTION_CHAIN,
        expected=" or ".join(f"{root.name} {root.sha256[:19]}…" for root in roots),
        got=f"{chain.root.common_name} {chain.root.digest[:19]}…",
        fix="this evidence is another vendor's, or a simulator's that the policy does not pin",
    ):
        if root is None or chain.root.common_name != ROOT_NAME:
            raise NotAuthentic(f"{chain.root.common_name} {chain.root.digest}")
        p256_key(chain.root)
        require_uses(chain.root, path_length=1, signs_crls=True)
    assert root is not None  # noqa: S101 - the step above refused

    with checks.step(
        "dcap.chain.issuer",
        "The root signed the authority of this kind of platform",
        section=_SECTION_CHAIN,
        expected=f"{' or '.join(_CA_NAMES)} signed by {ROOT_NAME}",
        got=chain.issuer.common_name,
    ):
        _require_ca(chain.issuer, chain.root)
    with checks.step(
        "dcap.chain.pck",
        "That authority signed the certificate of this platform",
        section=_SECTION_CHAIN,
        expected=f"{_PCK_NAME} signed by {chain.issuer.common_name}",
    ):
        if chain.pck.common_name != _PCK_NAME:
            raise NotAuthentic(chain.pck.common_name)
        require_end_entity(chain.pck)
        require_p256_issued(chain.pck, chain.issuer)
    with checks.step(
        "dcap.validity",
        "Every certificate of the platform is valid at this time",
        section=_SECTION_CHAIN,
        expected=f"valid at {now:%Y-%m-%d %H:%M} UTC",
        fix="check the clock",
    ):
        for certificate in (chain.root, chain.issuer, chain.pck):
            require_valid(certificate, now)
    return root


def check_revocation(
    checks: Checklist, chain: PckChain, lists: Revocation | None, signers: tuple[Certificate, ...], now: datetime
) -> None:
    """DCAP 7.  ``signers`` sign collateral; the root's list covers them too.  No lists: recorded as not performed."""
    name, title = "dcap.revocation", "No certificate of the chains is revoked"
    expected = f"the lists of {ROOT_NAME} and {chain.issuer.common_name}, holding at {now:%Y-%m-%d %H:%M} UTC"
    fix = "fetch pckcrl and rootcacrl from https://api.trustedservices.intel.com/sgx/certification/v4"
    if lists is None:
        checks.not_performed(name, title, section=_SECTION_REVOKED, expected=expected, got="no lists", fix=fix)
        return
    with checks.step(name, title, section=_SECTION_REVOKED, expected=expected, got="on no list", fix=fix):
        require_p256_listed_by(lists.root_crl, chain.root)
        require_current(lists.root_crl, now)
        # The list's issuer comes with a chain of its own: certificates of one authority may be renewed.
        require_same_root(lists.pck_crl_root, chain.root)
        if lists.pck_crl_issuer.subject != chain.issuer.subject:
            raise NotAuthentic(f"the list of {lists.pck_crl_issuer.common_name}")
        _require_ca(lists.pck_crl_issuer, chain.root)
        require_valid(lists.pck_crl_issuer, now)
        require_p256_listed_by(lists.pck_crl, lists.pck_crl_issuer)
        require_current(lists.pck_crl, now)
        require_unrevoked(lists.root_crl, chain.issuer, lists.pck_crl_issuer, *signers)
        require_unrevoked(lists.pck_crl, chain.pck)


def _require_ca(issuer: Certificate, root: Certificate) -> None:
    if issuer.common_name not in _CA_NAMES:
        raise NotAuthentic(issuer.common_name)
    require_p256_issued(issuer, root)
    require_uses(issuer, path_length=0, signs_crls=True)


def load_revocation(endorsements: dict[str, bytes]) -> Revocation:
    """From the endorsements ``root_crl``, ``pck_crl`` and ``pck_crl_chain``.  Raises as the loaders do."""
    issuer, root = pair_from_pem(endorsements["pck_crl_chain"], "PCK CRL chain")
    return Revocation(
        root_crl=load_crl(endorsements["root_crl"]),
        pck_crl=load_crl(endorsements["pck_crl"]),
        pck_crl_issuer=issuer,
        pck_crl_root=root,
    )
