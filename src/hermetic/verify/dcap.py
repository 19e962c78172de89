"""Is this DCAP quote authentic?  The complete check-list, in order; it ends at the first failure.

    DCAP 1   the bytes are one quote, exactly, with a chain of three certificates        (Quote Format, A.3 to A.5)
    DCAP 2   PCK certificate ← platform or processor CA ← root: names, uses, signatures, validity; the root is pinned
    DCAP 3   the PCK signed the report of a quoting enclave, and that names the attestation key
    DCAP 4   the attestation key signed exactly header and body
    DCAP 5   Intel signed TCB info and QE identity, over the bytes as received, and both hold now
    DCAP 6   they are for this TEE, FMSPC and PCEID
    DCAP 7   the lists of root and CA hold now and list none of: PCK, CA, signers of collateral
    DCAP 8   the quoting enclave is the one of the QE identity
    DCAP 9   TDX: signer and attributes of the module                                    (:mod:`hermetic.verify.tdx`)
    DCAP 10  the firmware reaches a level that is not revoked; status and advisories are claims
    DCAP 11  a second verifier agrees
    DCAP 12  the quote carries the bytes that the caller asked for
    DCAP 13  TDX: event logs that came along end in the registers that the quote signs   (:mod:`hermetic.verify.tdx`)

:class:`Tee` is what a trust domain and an enclave do not share; everything else is the same for both.  Sections are
those of Intel's DCAP quote verification library.  What is *wanted* of an authentic quote (statuses, advisories,
attributes, measurements) is for a policy to say.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from hermetic.errors import NotAuthentic
from hermetic.evidence import EvidenceBundle, SgxQuote, TdxQuote
from hermetic.verify._checks import Checklist
from hermetic.verify._claims import IntelClaims
from hermetic.verify._dcap_chain import PckChain, Revocation, check_chain, check_revocation, load_revocation
from hermetic.verify._dcap_collateral import Collateral, check_collateral
from hermetic.verify._dcap_enclave import check_enclave, check_signatures
from hermetic.verify._dcap_opinion import check_opinion, installed
from hermetic.verify._measured import MeasuredEvents
from hermetic.verify.intel_collateral import TcbInfo
from hermetic.verify.intel_tcb import TcbEvaluation, TdxVersions, evaluate
from hermetic.verify.roots import Root

_REVOCATION = ("root_crl", "pck_crl", "pck_crl_chain")
_COLLATERAL = ("tcb_info", "tcb_info_chain", "qe_identity", "qe_identity_chain")


Q = TypeVar("Q", SgxQuote, TdxQuote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tee(Generic[Q]):
    """What is one TEE's own.

    ``subject`` and ``versions`` say for a person what its quotes are.  ``measured`` gives what was launched and what
    whoever launched it bound to it; ``check_module`` performs DCAP 9 and says which module versions DCAP 10 judges,
    ``check_logs`` performs DCAP 13; either gives None where the TEE has no such thing.
    """

    name: str
    product: str
    subject: str
    versions: str
    parse: Callable[[bytes], Q]
    measured: Callable[[Q], tuple[bytes, bytes]]
    check_module: Callable[[Checklist, Q, TcbInfo], TdxVersions | None]
    check_logs: Callable[[Checklist, EvidenceBundle, Q], MeasuredEvents | None]


def verify_quote(
    tee: Tee[Q],
    bundle: EvidenceBundle,
    *,
    roots: tuple[Root, ...],
    now: datetime,
    report_data: bytes | None,
    crl_required: bool,
) -> IntelClaims:
    """The claims of an authentic quote.  Parameters and errors as in :func:`hermetic.verify.verify`."""
    checks = Checklist()
    quote, chain = _read(checks, tee, bundle)  # 1
    root = check_chain(checks, chain, roots, now)  # 2
    check_signatures(checks, quote, chain)  # 3, 4
    collateral, lists = _load(checks, bundle, crl_required=crl_required)
    check_collateral(checks, collateral, chain, bundle.tee.upper(), now)  # 5, 6
    check_revocation(checks, chain, lists, collateral.signers, now)  # 7
    check_enclave(checks, quote.signature.qe_report, collateral.qe_identity.value)  # 8
    tdx = tee.check_module(checks, quote, collateral.tcb_info.value)  # 9
    tcb = _evaluate(checks, quote, chain, collateral, tdx)  # 10
    check_opinion(checks, bundle, quote, collateral, chain.root_der, tcb, now, installed())  # 11
    check_report_data(checks, tee.name, quote.body.report_data, report_data)  # 12
    events = tee.check_logs(checks, bundle, quote)  # 13
    measurement, host_data = tee.measured(quote)
    return IntelClaims(
        tee=tee.name,
        root=root,
        product=f"{tee.product}, FMSPC {chain.identity.fmspc.hex()}",
        report=quote,
        chip_id=chain.identity.ppid,
        provider=None,
        measurement=measurement,
        host_data=host_data,
        report_data=quote.body.report_data,
        pck=chain.identity,
        tcb=tcb,
        events=events,
        dates=_dates(chain, collateral, lists),
        checks=checks.made,
    )


def _read(checks: Checklist, tee: Tee[Q], bundle: EvidenceBundle) -> tuple[Q, PckChain]:
    # 1. It is a quote, and it comes with the platform's certificates.
    with checks.step(
        f"{tee.name}.format",
        f"The bytes are the quote of {tee.subject} with its platform's certificates",
        section="DCAP 1: Quote Format, A.3 to A.5",
        expected=f"a quote of version {tee.versions} with three certificates that can be read",
    ):
        quote = tee.parse(bundle.evidence)
        return quote, PckChain.from_pem(quote.signature.pck_chain)


def check_report_data(checks: Checklist, tee: str, got: bytes, expected: bytes | None) -> None:
    """DCAP 12: freshness, keys and context are bound here; compared before any claim leaves the verifier."""
    name, title = f"{tee}.report-data", "The quote was made over what we asked for"
    section = "DCAP 12: Quote Format, A.3.2 and A.4.2"
    if expected is None:
        checks.not_performed(
            name,
            title,
            section=section,
            expected="report data of the caller's own",
            got=f"{got[:8].hex()}…",
            fix="compare with the report data that your own nonce makes",
        )
        return
    with checks.step(name, title, section=section, expected=f"{expected[:8].hex()}…"):
        if not hmac.compare_digest(got, expected):
            raise NotAuthentic(
                f"{got[:8].hex()}…", fix="it answers another question: ask for evidence over a new nonce"
            )


def _load(checks: Checklist, bundle: EvidenceBundle, *, crl_required: bool) -> tuple[Collateral, Revocation | None]:
    needed = (*_COLLATERAL, *_REVOCATION) if crl_required else _COLLATERAL
    present = dict(bundle.endorsements)
    with checks.step(
        "dcap.endorsements",
        "The quote comes with Intel's collateral",
        section="DCAP 5 and 7: Intel PCS, v4",
        expected=", ".join(needed),
        fix="fetch them from https://api.trustedservices.intel.com, or from your provider's cache",
    ):
        if missing := [name for name in needed if name not in present]:
            raise NotAuthentic(f"none of {', '.join(missing)}")
        collateral = Collateral.from_endorsements(present)
        lists = load_revocation(present) if all(name in present for name in _REVOCATION) else None
    return collateral, lists


def _evaluate(
    checks: Checklist, quote: SgxQuote | TdxQuote, chain: PckChain, collateral: Collateral, tdx: TdxVersions | None
) -> TcbEvaluation:
    tcb_info, qe_identity = collateral.tcb_info.value, collateral.qe_identity.value
    pck = chain.identity
    with checks.step(
        "dcap.tcb",
        "The firmware reaches a level that Intel vouches for",
        section="DCAP 10: Intel DCAP, 4.1.2.5",
        expected=f"one of {len(tcb_info.tcb_levels)} levels of FMSPC {pck.fmspc.hex()}, not revoked",
        fix="the machine's operator has to update its firmware",
    ):
        return evaluate(tcb_info, qe_identity, pck, quote.signature.qe_report.isv_svn, tdx)


def _dates(chain: PckChain, collateral: Collateral, lists: Revocation | None) -> tuple[datetime, ...]:
    certificates = (chain.root, chain.issuer, chain.pck, *collateral.signers)
    crls = () if lists is None else (lists.root_crl, lists.pck_crl)
    return (
        *(certificate.not_before for certificate in certificates),
        *(crl.this_update for crl in crls),
        collateral.tcb_info.value.issue_date,
        collateral.qe_identity.value.issue_date,
    )
