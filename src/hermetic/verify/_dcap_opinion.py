"""DCAP 11: a second evaluation by other people's code, which must agree (the package dcap-qvl, where installed).

It has rules of its own, which no caller can turn off, about what here is a policy's: debugging, profiling, migration,
service domains.  Nor does it read every quote.  Where it stops at one of those, and the quote indeed is so, there is no
second opinion on the rest: the check is *not performed* and says at which rule.  That is no verdict on authenticity,
and to a policy it is no pass.  Any other refusal of its own, another status or other advisories refuse the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from types import MappingProxyType, ModuleType
from typing import cast

from hermetic.errors import NotAuthentic
from hermetic.evidence import EnclaveFlag, EvidenceBundle, SgxQuote, TdFlag, TdxQuote
from hermetic.verify._checks import Checklist
from hermetic.verify._dcap_collateral import Collateral
from hermetic.verify.intel_tcb import TcbEvaluation

_NEEDED = ("root_crl", "pck_crl", "pck_crl_chain", "tcb_info_chain", "qe_identity_chain")

_NAME = "dcap.second-opinion"
_TITLE, _SECTION = "A second verifier comes to the same verdict", "DCAP 11: dcap-qvl 0.7"
_FIX = "change that on the platform: no policy takes evidence of which there is no second opinion"
_PROFILING = TdFlag.HGS_PLUS_PROF | TdFlag.PERF_PROF | TdFlag.PMT_PROF


def _is_debugged(quote: SgxQuote | TdxQuote) -> bool:
    if isinstance(quote, SgxQuote):
        return EnclaveFlag.DEBUG in quote.body.attributes.flags
    return TdFlag.DEBUG in quote.body.td_attributes.flags


_SERVTD_EXT = 1 << 17  # a name of its alone; to us it is one of the unknown bits, which policies refuse

# Where it stops on its own account, and how to see that the quote is so.
_RULES_OF_ITS_OWN: Mapping[str, Callable[[SgxQuote | TdxQuote], bool]] = MappingProxyType(
    {
        "Debug mode is enabled": _is_debugged,
        "TD profiling is enabled": lambda quote: (
            isinstance(quote, TdxQuote) and bool(quote.body.td_attributes.flags & _PROFILING)
        ),
        "SERVTD_EXT is enabled": lambda quote: (
            isinstance(quote, TdxQuote) and bool(quote.body.td_attributes.unknown & _SERVTD_EXT)
        ),
        "SEPT_VE_DISABLE is not enabled": lambda quote: (
            isinstance(quote, TdxQuote) and TdFlag.SEPT_VE_DISABLE not in quote.body.td_attributes.flags
        ),
        "TD migration is enabled": lambda quote: (
            isinstance(quote, TdxQuote) and TdFlag.MIGRATABLE in quote.body.td_attributes.flags
        ),
        "Reserved bits in TD attributes are set": lambda quote: (
            isinstance(quote, TdxQuote) and bool(quote.body.td_attributes.unknown)
        ),
        "SGX TEE quote must have version 3": lambda quote: isinstance(quote, SgxQuote) and quote.header.version > 3,
        "Invalid MR service TD": lambda quote: isinstance(quote, TdxQuote) and any(quote.body.mr_service_td or b""),
    }
)


def installed() -> ModuleType | None:
    """The second verifier, or None: it is an extra, and its absence is recorded, never a pass."""
    try:
        import dcap_qvl
    except ImportError:
        return None
    return cast(ModuleType, dcap_qvl)


def check_opinion(
    checks: Checklist,
    bundle: EvidenceBundle,
    quote: SgxQuote | TdxQuote,
    collateral: Collateral,
    root_der: bytes,
    ours: TcbEvaluation,
    now: datetime,
    second: ModuleType | None,
) -> None:
    """Records what ``second`` says of the same bytes at the same time, under the same root."""
    if second is None:
        _not_performed(checks, ours, "dcap-qvl is not installed", 'pip install "hermetic[intel]"')
        return
    if missing := [name for name in _NEEDED if name not in bundle.endorsements]:
        _not_performed(checks, ours, f"it needs {missing[0]}", "give the revocation lists")
        return
    try:
        report = second.verify_with_root_ca(
            bundle.evidence, _collateral(second, bundle, collateral), root_der, int(now.timestamp())
        )
    except ValueError as error:
        reason = str(error).partition("\n")[0].removeprefix("Verification failed: ")
        own = _RULES_OF_ITS_OWN.get(reason)
        if own is not None and own(quote):
            _not_performed(checks, ours, f"it stopped at a rule of its own: {reason}", _FIX)
            return
        with _step(checks, ours):
            raise NotAuthentic(f"a refusal: {reason}") from error
    with _step(checks, ours):
        theirs = (report.status, sorted(set(report.advisory_ids)))
        if theirs != (str(ours.status), list(ours.advisories)):
            raise NotAuthentic(f"{theirs[0]}, {', '.join(theirs[1]) or 'no advisories'}")


def _step(checks: Checklist, ours: TcbEvaluation) -> AbstractContextManager[None]:
    return checks.step(
        _NAME, _TITLE, section=_SECTION, expected=str(ours), fix="report the disagreement: one of the two is wrong"
    )


def _not_performed(checks: Checklist, ours: TcbEvaluation, got: str, fix: str) -> None:
    checks.not_performed(_NAME, _TITLE, section=_SECTION, expected=str(ours), got=got, fix=fix)


def _collateral(second: ModuleType, bundle: EvidenceBundle, collateral: Collateral) -> object:
    """The same bytes that we judged, in the shape that it reads."""
    text = {name: bundle.endorsements[name].decode("ascii") for name in _NEEDED if name.endswith("_chain")}
    return second.QuoteCollateralV3(
        pck_crl_issuer_chain=text["pck_crl_chain"],
        root_ca_crl=bundle.endorsements["root_crl"],
        pck_crl=bundle.endorsements["pck_crl"],
        tcb_info_issuer_chain=text["tcb_info_chain"],
        tcb_info=collateral.tcb_info.body.decode(),
        tcb_info_signature=collateral.tcb_info.signature,
        qe_identity_issuer_chain=text["qe_identity_chain"],
        qe_identity=collateral.qe_identity.body.decode(),
        qe_identity_signature=collateral.qe_identity.signature,
    )
