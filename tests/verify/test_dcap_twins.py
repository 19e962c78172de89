"""Each check of DCAP has a twin pair: evidence of an Intel of our own that passes, and the same with one thing wrong.

Everything else stays signed and true, so that only the check in question can refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import (
    SGX,
    TDX,
    EnclaveAttributes,
    EnclaveFlag,
    EvidenceBundle,
    SgxQuote,
    TdAttributes,
    TdFlag,
    TdxQuote,
    parse_evidence,
)
from hermetic.evidence.x509 import load_certificate
from hermetic.verify import INTEL_ROOTS, IntelClaims, Outcome, TcbStatus, simulated_root, verify
from hermetic.verify._checks import Check, Checklist
from hermetic.verify._dcap_collateral import Collateral
from hermetic.verify._dcap_opinion import check_opinion
from hermetic.verify.chain import INTEL_PLATFORM, require_issued
from intel_forge import (
    CA,
    DAY,
    INTEL,
    NOW,
    PCK,
    PCK_CRL,
    QE_REPORT,
    REPORT_DATA,
    ROOT,
    ROOT_CRL,
    SIGNER,
    TD_REPORT,
    Intel,
    pck_extension,
    usage,
)
from intel_forge import ENCLAVE as AN_ENCLAVE

Change = Callable[[dict[str, Any], dict[str, Any]], None]


def verified(intel: Intel) -> IntelClaims:
    claims = verify(intel.issue(), roots=intel.roots, now=NOW, report_data=REPORT_DATA)
    assert isinstance(claims, IntelClaims)
    return claims


def refusal(intel: Intel) -> Refused:
    with pytest.raises((Malformed, NotAuthentic)) as refused:
        verified(intel)
    return refused.value


@pytest.mark.parametrize("tee", [TDX, SGX])
def test_ours_is_authentic(tee: str) -> None:
    claims = verified(Intel(tee=tee))
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}
    assert claims.simulated
    assert claims.tcb.status is TcbStatus.UP_TO_DATE
    assert claims.tee == tee


OTHER_ROOT = replace(ROOT, serial=99)
RSA_KEY = rsa.generate_private_key(65537, 2048)
P384_KEY = ec.generate_private_key(ec.SECP384R1())
NO_USE = usage(authority=True, signs_crls=False)

CHAIN = [
    pytest.param(
        Intel(
            root=replace(ROOT, name="Another Root CA", issuer="Another Root CA"),
            ca=replace(CA, issuer="Another Root CA"),
        ),
        "dcap.chain.root",
        id="a root of another name",
    ),
    pytest.param(
        Intel(root=replace(ROOT, authority=None, uses=usage(authority=True))),
        "dcap.chain.root",
        id="a root that is no authority",
    ),
    pytest.param(Intel(root=replace(ROOT, authority=2)), "dcap.chain.root", id="a root of another depth"),
    pytest.param(Intel(root=replace(ROOT, uses=NO_USE)), "dcap.chain.root", id="a root that signs no lists"),
    pytest.param(
        Intel(root=replace(ROOT, public_key=P384_KEY.public_key())), "dcap.chain.root", id="a root on another curve"
    ),
    pytest.param(
        Intel(root=replace(ROOT, public_key=RSA_KEY.public_key())), "dcap.chain.root", id="a root with an RSA key"
    ),
    pytest.param(
        Intel(ca=replace(CA, name="Intel SGX TCB Signing"), pck=replace(PCK, issuer="Intel SGX TCB Signing")),
        "dcap.chain.issuer",
        id="another authority of the root",
    ),
    pytest.param(
        Intel(ca=replace(CA, issuer_key="other")), "dcap.chain.issuer", id="an authority that the root did not sign"
    ),
    pytest.param(
        Intel(ca=replace(CA, issuer="Another Root CA")), "dcap.chain.issuer", id="an authority that names another root"
    ),
    pytest.param(Intel(ca=replace(CA, hash_name="sha384")), "dcap.chain.issuer", id="another hash"),
    pytest.param(Intel(ca=replace(CA, authority=1)), "dcap.chain.issuer", id="an authority of another depth"),
    pytest.param(Intel(ca=replace(CA, authority=None)), "dcap.chain.issuer", id="an authority that is none"),
    pytest.param(Intel(pck=replace(PCK, name="Intel SGX TCB Signing")), "dcap.chain.pck", id="not a PCK"),
    pytest.param(
        Intel(pck=replace(PCK, issuer_key="other")), "dcap.chain.pck", id="a PCK that the authority did not sign"
    ),
    pytest.param(
        Intel(pck=replace(PCK, issuer="Intel SGX PCK Processor CA")),
        "dcap.chain.pck",
        id="a PCK of the other authority",
    ),
    pytest.param(Intel(pck=replace(PCK, authority=0)), "dcap.chain.pck", id="a PCK that is an authority"),
    pytest.param(
        Intel(pck=replace(PCK, uses=usage(authority=True))), "dcap.chain.pck", id="a PCK that signs certificates only"
    ),
    pytest.param(Intel(pck=replace(PCK, hash_name="sha512")), "dcap.chain.pck", id="a PCK with another hash"),
    pytest.param(Intel(root=replace(ROOT, last=NOW - DAY)), "dcap.validity", id="a root that has ended"),
    pytest.param(Intel(ca=replace(CA, first=NOW + DAY)), "dcap.validity", id="an authority that has not begun"),
    pytest.param(Intel(pck=replace(PCK, last=NOW - DAY)), "dcap.validity", id="a PCK that has ended"),
    pytest.param(Intel(pck=replace(PCK, extension=None)), "tdx.format", id="a PCK without its platform"),
    pytest.param(Intel(pck=replace(PCK, extension=pck_extension()[:-1])), "tdx.format", id="a platform cut short"),
    pytest.param(Intel(pck=replace(PCK, extension=pck_extension(fmspc=bytes(5)))), "tdx.format", id="a short FMSPC"),
    pytest.param(
        Intel(pck=replace(PCK, extension=pck_extension(pce_svn=65536))), "tdx.format", id="a PCESVN beyond 16 bits"
    ),
]
CHAIN += [
    pytest.param(Intel(chain=lambda ders: ders[:2]), "tdx.format", id="a chain without its root"),
    pytest.param(Intel(chain=lambda ders: ders[:1]), "tdx.format", id="a platform alone"),
    pytest.param(Intel(pck=replace(PCK, bare=True)), "dcap.chain.pck", id="a PCK that does not say what it is for"),
]
SIGNATURES = [
    pytest.param(Intel(attestation_point=b"\1" * 64), "dcap.signature", id="a key that is not on the curve"),
    pytest.param(Intel(qe_signed_with="other"), "dcap.qe-report.signature", id="a quoting enclave of another platform"),
    pytest.param(Intel(named_data=bytes(64)), "dcap.qe-report.key", id="a key that the enclave does not name"),
    pytest.param(Intel(signed_with="other"), "dcap.signature", id="a quote that another key signed"),
]
COLLATERAL = [
    pytest.param(Intel(collateral_root=OTHER_ROOT), "dcap.tcb-info.signature", id="collateral of another root"),
    pytest.param(
        Intel(signer=replace(SIGNER, name="Intel SGX PCK Platform CA")), "dcap.tcb-info.signature", id="not the signer"
    ),
    pytest.param(
        Intel(signer=replace(SIGNER, issuer_key="other")), "dcap.tcb-info.signature", id="a signer of another root"
    ),
    pytest.param(
        Intel(signer=replace(SIGNER, authority=0)), "dcap.tcb-info.signature", id="a signer that is an authority"
    ),
    pytest.param(
        Intel(signer=replace(SIGNER, last=NOW - DAY)), "dcap.tcb-info.signature", id="a signer that has ended"
    ),
    pytest.param(
        Intel(signer=replace(SIGNER, public_key=P384_KEY.public_key())),
        "dcap.tcb-info.signature",
        id="a signer on another curve",
    ),
    pytest.param(Intel(documents_signed_with="other"), "dcap.tcb-info.signature", id="documents that another signed"),
]
REVOCATION = [
    pytest.param(Intel(crl_root=OTHER_ROOT), "dcap.revocation", id="lists of another root"),
    pytest.param(Intel(pck_crl=replace(PCK_CRL, hash_name="sha384")), "dcap.revocation", id="a list with another hash"),
    pytest.param(Intel(root_crl=replace(ROOT_CRL, revoked=(2,))), "dcap.revocation", id="a revoked authority"),
    pytest.param(Intel(root_crl=replace(ROOT_CRL, revoked=(3,))), "dcap.revocation", id="a revoked signer"),
    pytest.param(
        Intel(root_crl=replace(ROOT_CRL, revoked=(7,)), crl_ca=replace(CA, serial=7)),
        "dcap.revocation",
        id="a revoked signer of lists",
    ),
    pytest.param(Intel(pck_crl=replace(PCK_CRL, revoked=(4,))), "dcap.revocation", id="a revoked platform"),
    pytest.param(
        Intel(root_crl=replace(ROOT_CRL, issuer_key="other")),
        "dcap.revocation",
        id="a root's list that the root did not sign",
    ),
    pytest.param(
        Intel(pck_crl=replace(PCK_CRL, issuer_key="other")),
        "dcap.revocation",
        id="a platform list that the authority did not sign",
    ),
    pytest.param(
        Intel(root_crl=replace(ROOT_CRL, issuer="Another Root CA")), "dcap.revocation", id="another root's list"
    ),
    pytest.param(Intel(root_crl=replace(ROOT_CRL, last=NOW)), "dcap.revocation", id="a root's list that has ended"),
    pytest.param(Intel(pck_crl=replace(PCK_CRL, last=NOW)), "dcap.revocation", id="a platform list that has ended"),
    pytest.param(
        Intel(pck_crl=replace(PCK_CRL, first=NOW + DAY, last=NOW + 2 * DAY)),
        "dcap.revocation",
        id="a list of the future",
    ),
    pytest.param(Intel(crl_ca=replace(CA, last=NOW - DAY)), "dcap.revocation", id="a signer of lists that has ended"),
    pytest.param(
        Intel(crl_ca=replace(CA, issuer_key="other")),
        "dcap.revocation",
        id="a signer of lists that the root did not sign",
    ),
    pytest.param(Intel(crl_ca=replace(CA, authority=1)), "dcap.revocation", id="a signer of lists of another depth"),
    pytest.param(
        Intel(
            crl_ca=replace(CA, name="Intel SGX PCK Processor CA"),
            pck_crl=replace(PCK_CRL, issuer="Intel SGX PCK Processor CA"),
        ),
        "dcap.revocation",
        id="the other authority's list",
    ),
]
DEBUGGED = EnclaveAttributes(flags=QE_REPORT.attributes.flags | EnclaveFlag.DEBUG)
ENCLAVE = [
    pytest.param(Intel(qe_report=replace(QE_REPORT, mr_signer=bytes(32))), "dcap.qe-identity", id="another signer"),
    pytest.param(Intel(qe_report=replace(QE_REPORT, isv_prod_id=1)), "dcap.qe-identity", id="another product"),
    pytest.param(Intel(qe_report=replace(QE_REPORT, attributes=DEBUGGED)), "dcap.qe-identity", id="a debugged enclave"),
    pytest.param(Intel(qe_report=replace(QE_REPORT, misc_select=1)), "dcap.qe-identity", id="other saved state"),
    pytest.param(Intel(qe_report=replace(QE_REPORT, isv_svn=1)), "dcap.tcb", id="an enclave below every level"),
]
MODULE = [
    pytest.param(Intel(body=replace(TD_REPORT, mr_signer_seam=b"\1" + bytes(47))), "tdx.module", id="another signer"),
    pytest.param(Intel(body=replace(TD_REPORT, seam_attributes=b"\1" + bytes(7))), "tdx.module", id="attributes"),
    pytest.param(
        Intel(body=replace(TD_REPORT, tee_tcb_svn=bytes((7, 2)) + bytes(14))),
        "tdx.module",
        id="a version that Intel does not know",
    ),
]


@pytest.mark.parametrize(("intel", "code"), [*CHAIN, *SIGNATURES, *COLLATERAL, *REVOCATION, *ENCLAVE, *MODULE])
def test_one_thing_wrong(intel: Intel, code: str) -> None:
    assert refusal(intel).code == code


def _set(document: int, **members: Any) -> Change:
    def change(tcb: dict[str, Any], qe: dict[str, Any]) -> None:
        (tcb, qe)[document].update(members)

    return change


def _moved(days: int) -> dict[str, str]:
    return {
        "issueDate": f"{NOW + (days - 1) * DAY:%Y-%m-%dT%H:%M:%SZ}",
        "nextUpdate": f"{NOW + (days + 1) * DAY:%Y-%m-%dT%H:%M:%SZ}",
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(_set(0, **_moved(2)), "dcap.tcb-info.time", id="TCB info of the future"),
        pytest.param(_set(0, **_moved(-2)), "dcap.tcb-info.time", id="TCB info of the past"),
        pytest.param(_set(1, **_moved(2)), "dcap.qe-identity.time", id="an identity of the future"),
        pytest.param(_set(1, **_moved(-2)), "dcap.qe-identity.time", id="an identity of the past"),
        pytest.param(_set(0, id="SGX"), "dcap.collateral", id="TCB info for SGX"),
        pytest.param(_set(1, id="QE"), "dcap.collateral", id="the enclave of SGX"),
        pytest.param(_set(0, fmspc="00806F050000"), "dcap.collateral", id="another FMSPC"),
        pytest.param(_set(0, pceId="0100"), "dcap.collateral", id="another PCEID"),
        pytest.param(_set(0, version=2), "dcap.endorsements", id="TCB info of version 2"),
        pytest.param(_set(1, version=3), "dcap.endorsements", id="an identity of version 3"),
        pytest.param(_set(0, tcbLevels=[]), "dcap.endorsements", id="no levels"),
        pytest.param(_set(0, tcbType=1), "dcap.endorsements", id="another kind of levels"),
        pytest.param(_set(0, issueDate="2026-02-02T12:00:00"), "dcap.endorsements", id="a date without a zone"),
        pytest.param(_set(0, tdxModuleIdentities=[]), "tdx.module", id="no module identities"),
        pytest.param(
            lambda tcb, qe: tcb["tdxModuleIdentities"][0].update(attributes="01" + "00" * 7),
            "tdx.module",
            id="a module that has to have an attribute",
        ),
        pytest.param(
            lambda tcb, qe: tcb["tcbLevels"][0]["tcb"].pop("tdxtcbcomponents"), "dcap.tcb", id="a level without TDX"
        ),
    ],
)
def test_one_thing_wrong_in_the_collateral(change: Change, code: str) -> None:
    assert refusal(Intel(change=change)).code == code


@pytest.mark.parametrize("document", [0, 1])
def test_each_document_has_its_own_signature(document: int) -> None:
    name = ("tcb_info", "qe_identity")[document]
    whole, other = Intel().issue(), Intel(documents_signed_with="other").issue()
    mixed = EvidenceBundle(
        tee=whole.tee, evidence=whole.evidence, endorsements={**whole.endorsements, name: other.endorsements[name]}
    )
    with pytest.raises(NotAuthentic) as refused:
        verify(mixed, roots=Intel().roots, now=NOW, report_data=REPORT_DATA)
    assert refused.value.code == f"dcap.{name.replace('_', '-')}.signature"


def test_another_question_is_refused() -> None:
    for tee in (TDX, SGX):
        with pytest.raises(NotAuthentic) as refused:
            verify(Intel(tee=tee).issue(), roots=Intel().roots, now=NOW, report_data=bytes(64))
        assert refused.value.code == f"{tee}.report-data"


def test_an_authority_on_another_curve_signs_nothing() -> None:
    """With the right hash, so that its certificates state the right algorithm."""
    name = "an authority"
    authority = replace(ROOT, name=name, issuer=name, issuer_key="other", public_key=P384_KEY.public_key())
    with pytest.raises(NotAuthentic, match="not on P-256"):
        require_issued(
            load_certificate(replace(PCK, issuer=name).sign(INTEL.keys), "PCK"),
            load_certificate(authority.sign(INTEL.keys), "authority"),
            INTEL_PLATFORM,
        )


def test_ours_is_not_intels() -> None:
    with pytest.raises(NotAuthentic) as refused:
        verify(Intel().issue(), roots=INTEL_ROOTS, now=NOW, report_data=REPORT_DATA)
    assert refused.value.code == "dcap.chain.root"


def test_intels_root_cannot_be_pinned_as_simulated() -> None:
    from hermetic.errors import Misconfigured

    with pytest.raises(Misconfigured, match="real hardware"):
        simulated_root(INTEL_ROOTS[0].sha256)


# What the second verifier says is simulated where it has to differ: an object of the one interface that is used.


def _second(status: str, advisories: list[str]) -> ModuleType:
    module = ModuleType("another_verifier")
    module.QuoteCollateralV3 = dict  # type: ignore[attr-defined]
    module.verify_with_root_ca = lambda *_: SimpleNamespace(status=status, advisory_ids=advisories)  # type: ignore[attr-defined]
    return module


def _refusing(reason: str) -> ModuleType:
    def refuse(*_: object) -> None:
        raise ValueError(f"Verification failed: {reason}\n\nCaused by: something")

    module = ModuleType("another_verifier")
    module.QuoteCollateralV3 = dict  # type: ignore[attr-defined]
    module.verify_with_root_ca = refuse  # type: ignore[attr-defined]
    return module


def opinion(second: ModuleType | None, intel: Intel | None = None) -> Check:
    intel = intel or Intel()
    bundle, ours, checks = intel.issue(), verified(intel).tcb, Checklist()
    quote = parse_evidence(bundle)
    assert isinstance(quote, TdxQuote | SgxQuote)
    collateral = Collateral.from_endorsements(dict(bundle.endorsements))
    check_opinion(checks, bundle, quote, collateral, b"", ours, NOW, second)
    return checks.made[0]


def test_a_second_verifier_that_agrees_passes() -> None:
    assert opinion(_second("UpToDate", [])).outcome is Outcome.PASS


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(_second("OutOfDate", []), id="another status"),
        pytest.param(_second("UpToDate", ["INTEL-SA-00001"]), id="other advisories"),
        pytest.param(_refusing("No matching TCB level found"), id="a refusal"),
        pytest.param(_refusing("Debug mode is enabled"), id="a refusal for what is not so"),
    ],
)
def test_a_disagreement_refuses(second: ModuleType) -> None:
    with pytest.raises(NotAuthentic) as refused:
        opinion(second)
    assert refused.value.code == "dcap.second-opinion"


def test_without_a_second_verifier_there_is_no_pass() -> None:
    check = opinion(None)
    assert check.outcome is Outcome.NOT_PERFORMED
    assert "hermetic[intel]" in check.fix


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("Debug mode is enabled", {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE | TdFlag.DEBUG)}),
        ("TD profiling is enabled", {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE | TdFlag.PERF_PROF)}),
        ("SEPT_VE_DISABLE is not enabled", {"td_attributes": TdAttributes(flags=TdFlag(0))}),
        ("TD migration is enabled", {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE | TdFlag.MIGRATABLE)}),
        ("SERVTD_EXT is enabled", {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE, unknown=1 << 17)}),
        (
            "Reserved bits in TD attributes are set",
            {"td_attributes": TdAttributes(flags=TdFlag.SEPT_VE_DISABLE, unknown=1 << 23)},
        ),
        ("Invalid MR service TD", {"mr_service_td": b"\1" + bytes(47)}),
    ],
)
def test_a_rule_of_its_own_is_no_opinion(reason: str, changes: dict[str, Any]) -> None:
    """The installed verifier stops at each of these; which of them matters is a policy's to say."""
    changed = Intel(body=replace(TD_REPORT, **changes))
    checks = {check.name: check for check in verified(changed).checks}
    assert checks["dcap.second-opinion"].outcome is Outcome.NOT_PERFORMED
    assert checks["dcap.second-opinion"].got.endswith(reason)
    assert opinion(_refusing(reason), changed).outcome is Outcome.NOT_PERFORMED
    with pytest.raises(NotAuthentic):
        opinion(_refusing(reason))
    # Such a bit excuses the one refusal that is about it, and no other.
    with pytest.raises(NotAuthentic):
        opinion(_refusing("No matching TCB level found"), changed)


DEBUGGED_ENCLAVE = replace(AN_ENCLAVE, attributes=EnclaveAttributes(flags=EnclaveFlag.INIT | EnclaveFlag.DEBUG))
UNREAD = "SGX TEE quote must have version 3"


def test_a_debugged_enclave_has_no_second_opinion() -> None:
    changed = Intel(tee=SGX, enclave=DEBUGGED_ENCLAVE)
    with pytest.raises(NotAuthentic):
        opinion(_refusing("Debug mode is enabled"), Intel(tee=SGX))
    assert opinion(_refusing("Debug mode is enabled"), changed).outcome is Outcome.NOT_PERFORMED
    for rule in (
        "TD profiling is enabled",
        "SERVTD_EXT is enabled",
        "SEPT_VE_DISABLE is not enabled",
        "TD migration is enabled",
        "Reserved bits in TD attributes are set",
        "Invalid MR service TD",
        UNREAD,
    ):
        with pytest.raises(NotAuthentic):
            opinion(_refusing(rule), changed)


@pytest.mark.parametrize("version", [4, 5])
def test_an_enclaves_quote_of_a_later_version(version: int) -> None:
    """The second verifier reads version 3 alone, so ours is the only opinion, which no policy takes for two."""
    later = Intel(tee=SGX, version=version)
    claims = verified(later)
    assert claims.report.header.version == version
    assert (claims.measurement, claims.host_data) == (AN_ENCLAVE.mr_enclave, AN_ENCLAVE.config_id)
    assert claims.tcb == verified(Intel(tee=SGX)).tcb
    checks = {check.name: check for check in claims.checks}
    opinion_made = checks.pop("dcap.second-opinion")
    assert (opinion_made.outcome, opinion_made.got) == (
        Outcome.NOT_PERFORMED,
        f"it stopped at a rule of its own: {UNREAD}",
    )
    assert {check.outcome for check in checks.values()} == {Outcome.PASS}
    with pytest.raises(NotAuthentic):
        opinion(_refusing(UNREAD), Intel(tee=SGX))


@pytest.mark.parametrize("version", [4, 5])
def test_what_is_wrong_with_a_later_version_is_found(version: int) -> None:
    """Each of the signatures that a quote of the later versions carries, where it lies there."""
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"signed_with": "other"}, "dcap.signature"),
        ({"qe_signed_with": "other"}, "dcap.qe-report.signature"),
        ({"named_data": bytes(64)}, "dcap.qe-report.key"),
        ({"documents_signed_with": "other"}, "dcap.tcb-info.signature"),
    )
    for changes, code in cases:
        assert refusal(Intel(tee=SGX, version=version, **changes)).code == code
    bundle = Intel(tee=SGX, version=version).issue()
    body = 54 if version == 5 else 48
    changed = bundle.evidence[: body + 64] + b"\xff" + bundle.evidence[body + 65 :]  # MRENCLAVE
    with pytest.raises(NotAuthentic) as refused:
        verify(replace(bundle, evidence=changed), roots=Intel().roots, now=NOW, report_data=REPORT_DATA)
    assert refused.value.code == "dcap.signature"
