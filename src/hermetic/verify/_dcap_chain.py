"""DCAP 2 and 7: the platform's certificate leads to a pinned root, and nothing on the way is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate, RevocationList, load_certificate, load_crl
from hermetic.verify._checks import Checklist
from hermetic.verify._dcap_pem import exact_chain
from hermetic.verify.chain import (
    INTEL_PLATFORM,
    require_authority,
    require_current,
    require_issued,
    require_leaf,
    require_listed_by,
    require_pinned,
    require_same,
    require_unrevoked,
    require_valid,
)
from hermetic.verify.intel_pck import PckIdentity
from hermetic.verify.roots import Root, names_of

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
    ders = exact_chain(pem, what)
    if len(ders) != count:
        raise NotAuthentic(f"{what}: expected {count} certificates, got {len(ders)}")
    return ders


def check_chain(checks: Checklist, chain: PckChain, roots: tuple[Root, ...], now: datetime) -> Root:
    """DCAP 2.  The root that the caller pinned, and that ``chain`` ends at."""
    with checks.step(
        "dcap.chain.root",
        "The chain starts at a root that we pinned",
        section=_SECTION_CHAIN,
        expected=names_of(roots),
        got=f"{chain.root.common_name} {chain.root.digest[:19]}…",
    ):
        root = require_pinned(chain.root, roots)
        require_authority(chain.root, INTEL_PLATFORM, below=1)
    with checks.step(
        "dcap.chain.issuer",
        "The root signed the authority of this kind of platform",
        section=_SECTION_CHAIN,
        expected=f"the authority of platforms or of processors, signed by {chain.root.common_name}",
        got=chain.issuer.common_name,
    ):
        _require_ca(chain.issuer, chain.root)
    with checks.step(
        "dcap.chain.pck",
        "That authority signed the certificate of this platform",
        section=_SECTION_CHAIN,
        expected=f"a platform's certificate signed by {chain.issuer.common_name}",
    ):
        require_leaf(chain.pck, INTEL_PLATFORM)
        require_issued(chain.pck, chain.issuer, INTEL_PLATFORM)
    with checks.step(
        "dcap.validity",
        "Every certificate of the platform is valid at this time",
        section=_SECTION_CHAIN,
        expected=f"valid at {now:%Y-%m-%d %H:%M} UTC",
        fix="check the clock",
    ):
        require_valid(now, chain.root, chain.issuer, chain.pck)
    return root


def check_revocation(
    checks: Checklist, chain: PckChain, lists: Revocation | None, signers: tuple[Certificate, ...], now: datetime
) -> None:
    """DCAP 7.  ``signers`` sign collateral; the root's list covers them too.  No lists: recorded as not performed."""
    name, title = "dcap.revocation", "No certificate of the chains is revoked"
    names = f"{chain.root.common_name} and {chain.issuer.common_name}"
    expected = f"the lists of {names}, holding at {now:%Y-%m-%d %H:%M} UTC"
    fix = "fetch pckcrl and rootcacrl from https://api.trustedservices.intel.com/sgx/certification/v4"
    if lists is None:
        checks.not_performed(name, title, section=_SECTION_REVOKED, expected=expected, got="no lists", fix=fix)
        return
    with checks.step(name, title, section=_SECTION_REVOKED, expected=expected, got="on no list", fix=fix):
        require_listed_by(lists.root_crl, chain.root, INTEL_PLATFORM)
        require_current(lists.root_crl, now)
        # The list's issuer comes with a chain of its own: certificates of one authority may be renewed.
        require_same(lists.pck_crl_root, chain.root)
        if lists.pck_crl_issuer.subject != chain.issuer.subject:
            raise NotAuthentic(f"the list of {lists.pck_crl_issuer.common_name}")
        _require_ca(lists.pck_crl_issuer, chain.root)
        require_valid(now, lists.pck_crl_issuer)
        require_listed_by(lists.pck_crl, lists.pck_crl_issuer, INTEL_PLATFORM)
        require_current(lists.pck_crl, now)
        require_unrevoked(lists.root_crl, chain.issuer, lists.pck_crl_issuer, *signers)
        require_unrevoked(lists.pck_crl, chain.pck)


def _require_ca(issuer: Certificate, root: Certificate) -> None:
    require_authority(issuer, INTEL_PLATFORM, below=0)
    require_issued(issuer, root, INTEL_PLATFORM)


def load_revocation(endorsements: dict[str, bytes]) -> Revocation:
    """From the endorsements ``root_crl``, ``pck_crl`` and ``pck_crl_chain``.  Raises as the loaders do."""
    issuer, root = pair_from_pem(endorsements["pck_crl_chain"], "PCK CRL chain")
    return Revocation(
        root_crl=load_crl(endorsements["root_crl"]),
        pck_crl=load_crl(endorsements["pck_crl"]),
        pck_crl_issuer=issuer,
        pck_crl_root=root,
    )
