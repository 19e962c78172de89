"""What Intel's provisioning certification service (PCS, v4), or a PCCS in its place, is asked for a quote.

    GET {pcs}/{sgx|tdx}/certification/v4/tcb?fmspc=…           TCB info, signed
    GET {pcs}/{sgx|tdx}/certification/v4/qe/identity           identity of the quoting enclave, signed
    GET {pcs}/sgx/certification/v4/pckcrl?ca=…&encoding=der    the list of the authority that certified the platform
    GET {intel_root_crl}                                       the root's list

The first three come with their signers' chains in a header of the answer.  What Intel signed is kept byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from hermetic.errors import Malformed
from hermetic.evidence import TDX, EvidenceBundle, SgxQuote, TdxQuote
from hermetic.evidence.pem import certificates_from_pem
from hermetic.evidence.x509 import load_certificate
from hermetic.sources.collateral.question import Answer, Kind, Period, Question, Request
from hermetic.sources.collateral.reading import (
    chain_from_header,
    crl_from_any,
    crl_period,
    named_chain,
)
from hermetic.sources.collateral.services import Services
from hermetic.sources.collateral.supply import Wanted
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from hermetic.verify.intel_pck import PckIdentity

__all__ = ["intel_wanted"]

_ROOT, _SIGNER = "Intel SGX Root CA", "Intel SGX TCB Signing"
_AUTHORITIES = {"Intel SGX PCK Platform CA": "platform", "Intel SGX PCK Processor CA": "processor"}
# As v4 of the service names them, then as older ones did.
_TCB_CHAIN = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_QE_CHAIN = ("sgx-enclave-identity-issuer-chain", "sgx-qe-identity-issuer-chain")
_CRL_CHAIN = ("sgx-pck-crl-issuer-chain",)
_JSON, _LIST = 65536, 65536


def intel_wanted(bundle: EvidenceBundle, services: Services) -> tuple[Wanted, ...]:
    """What a TDX or an SGX quote needs.  Raises Malformed for something else."""
    quote = (TdxQuote if bundle.tee == TDX else SgxQuote).from_bytes(bundle.evidence)
    chain = certificates_from_pem(quote.signature.pck_chain.removesuffix(b"\0"))
    if len(chain) != 3:
        raise Malformed(f"PCK chain: expected 3 certificates, got {len(chain)}")
    pck, authority = (load_certificate(der, "PCK chain") for der in chain[:2])
    if authority.common_name not in _AUTHORITIES:
        raise Malformed(f"PCK chain: {authority.common_name} is no authority of Intel's platforms")
    fmspc = PckIdentity.from_extensions(pck.extensions).fmspc.hex()
    questions = (
        _tcb_info(bundle.tee, fmspc, services),
        _qe_identity(bundle.tee, services),
        _pck_crl(authority.common_name, services),
        _root_crl(services),
    )
    return tuple(Wanted.among(question, bundle.endorsements) for question in questions)


def _tcb_info(tee: str, fmspc: str, services: Services) -> Question:
    url = f"{services.pcs}/{tee}/certification/v4/tcb?fmspc={fmspc}"
    return Question(
        what=f"Intel's TCB info for {tee.upper()}, FMSPC {fmspc}",
        names={"tcb_info": Kind.INTEL_JSON, "tcb_info_chain": Kind.CHAIN},
        request=Request(url=_updated(url, "&", services), largest=_JSON, headers=_TCB_CHAIN),
        parts=partial(_signed, name="tcb_info", headers=_TCB_CHAIN),
        periods={"tcb_info": partial(_tcb_period, tee=tee.upper(), fmspc=fmspc), "tcb_info_chain": _signer_period},
    )


def _qe_identity(tee: str, services: Services) -> Question:
    url = f"{services.pcs}/{tee}/certification/v4/qe/identity"
    return Question(
        what=f"Intel's identity of the quoting enclave for {tee.upper()}",
        names={"qe_identity": Kind.INTEL_JSON, "qe_identity_chain": Kind.CHAIN},
        request=Request(url=_updated(url, "?", services), largest=_JSON // 4, headers=_QE_CHAIN),
        parts=partial(_signed, name="qe_identity", headers=_QE_CHAIN),
        periods={
            "qe_identity": partial(_qe_period, identity={"sgx": "QE", "tdx": "TD_QE"}[tee]),
            "qe_identity_chain": _signer_period,
        },
    )


def _pck_crl(authority: str, services: Services) -> Question:
    url = f"{services.pcs}/sgx/certification/v4/pckcrl?ca={_AUTHORITIES[authority]}&encoding=der"
    return Question(
        what=f"the revocation list of {authority}",
        names={"pck_crl": Kind.CRL, "pck_crl_chain": Kind.CHAIN},
        request=Request(url=url, largest=2 * _LIST + 2, headers=_CRL_CHAIN),
        parts=lambda answer: {
            "pck_crl": crl_from_any(answer.content),
            "pck_crl_chain": chain_from_header(answer, _CRL_CHAIN),
        },
        periods={
            "pck_crl": partial(crl_period, issuer=authority),
            "pck_crl_chain": lambda pem: named_chain(pem, authority, _ROOT),
        },
    )


def _root_crl(services: Services) -> Question:
    return Question(
        what=f"the revocation list of {_ROOT}",
        names={"root_crl": Kind.CRL},
        request=Request(url=services.intel_root_crl, largest=2 * _LIST + 2),
        parts=lambda answer: {"root_crl": crl_from_any(answer.content)},
        periods={"root_crl": partial(crl_period, issuer=_ROOT)},
    )


def _updated(url: str, joint: str, services: Services) -> str:
    """ "standard" is what the service answers unasked."""
    return url if services.tcb_update == "standard" else f"{url}{joint}update={services.tcb_update}"


def _signed(answer: Answer, *, name: str, headers: tuple[str, ...]) -> Mapping[str, bytes]:
    return {name: answer.content, f"{name}_chain": chain_from_header(answer, headers)}


def _signer_period(pem: bytes) -> Period:
    return named_chain(pem, _SIGNER, _ROOT)


def _tcb_period(document: bytes, *, tee: str, fmspc: str) -> Period:
    stated = load_tcb_info(document).value
    if (stated.id, stated.fmspc.lower()) != (tee, fmspc):
        raise Malformed(f"TCB info for {stated.id}, FMSPC {stated.fmspc.lower()}, not for {tee}, FMSPC {fmspc}")
    return Period(first=stated.issue_date, last=stated.next_update)


def _qe_period(document: bytes, *, identity: str) -> Period:
    stated = load_qe_identity(document).value
    if stated.id != identity:
        raise Malformed(f"an identity of {stated.id}, not of {identity}")
    return Period(first=stated.issue_date, last=stated.next_update)
