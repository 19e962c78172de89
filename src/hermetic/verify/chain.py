"""Who may certify whom: one reader of chains and lists for every vendor, with the vendors' rules as data.

A vendor's :class:`Rules` say how it signs, and what its authorities and leaves must say of themselves.  AMD, Intel and
NVIDIA stand at the end; those of AWS (Nitro), Azure, Google and Arm go beside them.  Each ``require_…`` returns nothing
and raises NotAuthentic with the reason.

That a signature held is remembered, and so is what was read: neither can change with time.  What can (validity,
revocation) is judged anew at each ``now``, and a refusal is never remembered.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate, RevocationList, Signed
from hermetic.verify._algorithms import ECDSA_P256, ECDSA_P384, RSA_4096_PSS, Algorithm
from hermetic.verify.roots import Root

_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """What a certificate that signs others must say of itself.

    ``path_length`` is the very one it must state (None: it must state none), or "enough": none, or at least as many as
    there are further authorities between it and the leaf (RFC 5280, 6.1.4).  ``names`` are the common names that it may
    have, where the vendor fixes them; ``lists`` says whether it signs revocation lists, too.
    """

    path_length: int | Literal["enough"] | None
    lists: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a certificate that signs statements must say of itself.  That it is an authority it must never say.

    ``names`` as above.  ``constraints`` and ``usage``: it must not be silent about them.
    """

    constraints: bool
    usage: bool
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """How one vendor certifies.

    ``authorities`` from the issuer of leaves up; the last stands for all that are higher still.  Names that depend on
    the evidence (a product, a model, a chip) are judged where evidence is.
    """

    algorithm: Algorithm
    authorities: tuple[Authority, ...]
    leaf: Leaf


def require_pinned(certificate: Certificate, roots: tuple[Root, ...]) -> Root:
    """The root among ``roots`` that ``certificate`` is, by its digest and nothing else."""
    for root in roots:
        if hmac.compare_digest(root.sha256, certificate.digest):
            return root
    raise NotAuthentic(
        f"{certificate.common_name} {certificate.digest}",
        fix="this evidence is another vendor's, or a simulator's that the policy does not pin",
    )


def require_same(root: Certificate, pinned: Certificate) -> None:
    """A second chain of the same evidence ends where the first one did."""
    if not hmac.compare_digest(root.digest, pinned.digest):
        raise NotAuthentic(f"a chain that ends at another {root.common_name}")


def require_chain(chain: tuple[Certificate, ...], rules: Rules) -> None:
    """``chain`` has the leaf first, and each certificate is issued by the next.

    The last is a root that the caller pinned; a chain without any authority was never asked about.
    """
    require_leaf(chain[0], rules)
    for below, (child, issuer) in enumerate(pairwise(chain)):
        require_authority(issuer, rules, below=below)
        require_issued(child, issuer, rules)


def require_leaf(leaf: Certificate, rules: Rules) -> None:
    """``leaf`` signs statements, and is no authority."""
    _require_name(leaf, rules.leaf.names)
    constraints, usage = leaf.constraints, leaf.usage
    if (rules.leaf.constraints and constraints is None) or (rules.leaf.usage and usage is None):
        raise NotAuthentic(f"{leaf.common_name} does not say what it is for")
    if constraints is not None and constraints.authority:
        raise NotAuthentic(f"{leaf.common_name} is an authority; it must sign statements only")
    if usage is not None and (not usage.statements or usage.certificates or usage.lists):
        raise NotAuthentic(f"the key of {leaf.common_name} is not for signing statements")


def require_authority(certificate: Certificate, rules: Rules, *, below: int) -> None:
    """``certificate`` may sign certificates, with ``below`` further authorities between it and the leaf."""
    wanted = rules.authorities[min(below, len(rules.authorities) - 1)]
    _require_name(certificate, wanted.names)
    rules.algorithm.require_key(certificate.public_key)
    constraints, usage = certificate.constraints, certificate.usage
    if constraints is None or usage is None:
        raise NotAuthentic(f"{certificate.common_name} does not say that it is an authority")
    if not constraints.authority or not constraints.critical:
        raise NotAuthentic(f"{certificate.common_name} is no authority, or says so where it can be overlooked")
    if not _reaches(constraints.path_length, wanted, below):
        raise NotAuthentic(f"{certificate.common_name} is not an authority of this depth")
    if not usage.certificates or (wanted.lists and not usage.lists):
        raise NotAuthentic(f"the key of {certificate.common_name} is not for this use")


@lru_cache(_REMEMBERED)
def require_issued(child: Certificate, issuer: Certificate, rules: Rules) -> None:
    """``issuer`` signed ``child`` as its vendor signs, and is the issuer that ``child`` names."""
    if child.issuer != issuer.subject:
        raise NotAuthentic(f"{child.common_name} names another issuer than {issuer.common_name}")
    _require_signed(child.signed, issuer, rules, child.common_name)


@lru_cache(_REMEMBERED)
def require_listed_by(crl: RevocationList, issuer: Certificate, rules: Rules) -> None:
    """``issuer`` signed ``crl`` as its vendor signs certificates, may do so, and is the issuer that ``crl`` names."""
    if crl.issuer != issuer.subject:
        raise NotAuthentic(f"the list is not {issuer.common_name}'s")
    if issuer.usage is None or not issuer.usage.lists:
        raise NotAuthentic(f"the key of {issuer.common_name} is not for signing lists")
    _require_signed(crl.signed, issuer, rules, "the list")


def require_valid(now: datetime, *certificates: Certificate) -> None:
    """``now`` lies within the validity of each, both ends included (RFC 5280, 4.1.2.5)."""
    for certificate in certificates:
        first, last = certificate.not_before, certificate.not_after
        if not first <= now <= last:
            raise NotAuthentic(f"{certificate.common_name} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}")


def require_current(crl: RevocationList, now: datetime) -> None:
    """``crl`` is the one to go by at ``now``."""
    first, last = crl.this_update, crl.next_update
    if last is None:
        raise NotAuthentic("the list does not say until when it holds")
    if not first <= now < last:
        raise NotAuthentic(f"the list holds from {first:%Y-%m-%d} until {last:%Y-%m-%d}")


def require_unrevoked(crl: RevocationList, *certificates: Certificate) -> None:
    """None of ``certificates`` is on ``crl``, by serial number."""
    for certificate in certificates:
        if certificate.serial_number in crl.revoked:
            raise NotAuthentic(f"{certificate.common_name}, serial number 0x{certificate.serial_number:x}, is revoked")


def _require_name(certificate: Certificate, names: tuple[str, ...]) -> None:
    if names and certificate.common_name not in names:
        raise NotAuthentic(f"{certificate.common_name}, expected {' or '.join(names)}")


def _reaches(path_length: int | None, wanted: Authority, below: int) -> bool:
    if wanted.path_length == "enough":
        return path_length is None or path_length >= below
    return path_length == wanted.path_length


def _require_signed(signed: Signed, issuer: Certificate, rules: Rules, what: str) -> None:
    # Stated twice, and only one of the two is signed.
    if signed.algorithm not in rules.algorithm.identifiers or signed.stated != signed.algorithm:
        raise NotAuthentic(f"{what} states another algorithm than {rules.algorithm.name}")
    try:
        rules.algorithm.require(issuer.public_key, signed.data, signed.signature)
    except NotAuthentic as reason:
        raise NotAuthentic(f"the signature of {issuer.common_name} over {what} is wrong: {reason.message}") from reason


AMD = Rules(  # 57230, 2.1
    algorithm=RSA_4096_PSS,
    authorities=(Authority(path_length=0, lists=False), Authority(path_length=None, lists=True)),
    leaf=Leaf(constraints=False, usage=False),
)

_INTEL_ROOT = Authority(path_length=1, lists=True, names=("Intel SGX Root CA",))
_INTEL_CA = Authority(path_length=0, lists=True, names=("Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"))

INTEL_PLATFORM = Rules(  # Intel SGX PCK Certificate and CRL profile, 1.3
    algorithm=ECDSA_P256,
    authorities=(_INTEL_CA, _INTEL_ROOT),
    leaf=Leaf(constraints=True, usage=True, names=("Intel SGX PCK Certificate",)),
)
INTEL_COLLATERAL = Rules(  # Intel PCS, v4
    algorithm=ECDSA_P256,
    authorities=(_INTEL_ROOT,),
    leaf=Leaf(constraints=True, usage=True, names=("Intel SGX TCB Signing",)),
)

NVIDIA = Rules(  # devices, and the signers of manifests
    algorithm=ECDSA_P384,
    authorities=(Authority(path_length="enough", lists=False),),
    leaf=Leaf(constraints=False, usage=True),
)
