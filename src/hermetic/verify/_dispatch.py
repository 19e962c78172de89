"""The one entrance to verification."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from hermetic.errors import Misconfigured
from hermetic.evidence import SEV_SNP, SGX, TDX, EvidenceBundle
from hermetic.verify._claims import PlatformClaims
from hermetic.verify.roots import Root, require_distinct
from hermetic.verify.sgx import verify_sgx
from hermetic.verify.snp import verify_snp
from hermetic.verify.tdx import verify_tdx

# One line for each kind of evidence, as in hermetic.evidence.bundle.
VERIFIERS: Mapping[str, Callable[..., PlatformClaims]] = MappingProxyType(
    {SEV_SNP: verify_snp, TDX: verify_tdx, SGX: verify_sgx}
)


def verify(
    bundle: EvidenceBundle,
    *,
    roots: tuple[Root, ...],
    now: datetime,
    report_data: bytes | None,
    crl_required: bool = True,
) -> PlatformClaims:
    """Proves that a vendor's root stands behind ``bundle`` at ``now`` (aware, UTC) and that it carries ``report_data``.

    ``report_data`` is the 64 bytes that the caller made from its own nonce; None records the comparison as not
    performed, for looking at evidence without judging it.  ``crl_required=False`` is for recorded evidence that was
    kept without a revocation list: a missing one is then recorded as not performed.  To a policy neither is a pass.

    Raises Malformed where bytes are not what they claim to be, NotAuthentic at the first check that fails (its
    ``checks`` tell how far it came), and Misconfigured for roots or a time that cannot be meant.
    """
    require_distinct(roots)
    if now.utcoffset() != timedelta(0):
        raise Misconfigured("now must be an aware datetime in UTC")
    if report_data is not None and len(report_data) != 64:
        raise Misconfigured(f"report data is 64 bytes, not {len(report_data)}")
    verifier = VERIFIERS[bundle.tee]  # a bundle is of a kind that is known, and what is known has a verifier
    return verifier(bundle, roots=roots, now=now, report_data=report_data, crl_required=crl_required)
