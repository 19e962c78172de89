"""Every recorded TDX, SGX and Intel collateral file, at its time, against what expect_intel.toml says of it."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import EvidenceBundle, SgxQuote, TdxQuote, parse_evidence
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.policy import PlatformPolicy, appraise_platform
from hermetic.verify import AMD_ROOTS, INTEL_ROOTS, IntelClaims, Outcome, TcbStatus, verify
from hermetic.verify._algorithms import ECDSA_P256
from hermetic.verify._dcap_chain import PckChain
from hermetic.verify._dcap_pem import exact_chain
from hermetic.verify.chain import INTEL_PLATFORM, require_current, require_listed_by
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from intel_support import RECORDED, bundle_of, endorsed
from vectors import needs_vectors

pytestmark = needs_vectors

EXPECT = tomllib.loads((Path(__file__).parent / "expect_intel.toml").read_text(encoding="utf-8"))
QUOTES, VERDICTS, REFUSED = EXPECT["quote"], EXPECT["verdict"], EXPECT["refused"]
COLLATERAL, CERTIFICATES, SYNTHETIC = EXPECT["collateral"], EXPECT["certificate"], EXPECT["synthetic"]
SECOND = timedelta(seconds=1)
COS = "tdx/v4-00806f050000-go-tdx-guest-00b252"

verdicts = pytest.mark.parametrize("entry", VERDICTS, ids=lambda entry: entry["file"].split("-", 1)[1])


def read(file: str) -> bytes:
    return (RECORDED / file).read_bytes()


def bundle(entry: dict[str, Any]) -> EvidenceBundle:
    folder, name = entry["file"].rsplit("/", 1)
    return bundle_of(folder, None if name == "quote.bin" else name)


def verified(
    whole: EvidenceBundle, at: datetime, report_data: bytes | None = None, *, crl_required: bool = True
) -> IntelClaims:
    claims = verify(whole, roots=INTEL_ROOTS, now=at, report_data=report_data, crl_required=crl_required)
    assert isinstance(claims, IntelClaims)
    return claims


def refusal(whole: EvidenceBundle, at: datetime, **asked: Any) -> Refused:
    with pytest.raises((Malformed, NotAuthentic)) as refused:
        verify(whole, now=at, **({"roots": INTEL_ROOTS, "report_data": None} | asked))
    return refused.value


def test_every_recorded_file_has_its_entry() -> None:
    listed = [entry["file"] for entries in EXPECT.values() for entry in entries]
    with (RECORDED / "PROVENANCE.tsv").open(encoding="utf-8", newline="") as file:
        present = [row["file"] for row in csv.DictReader(file, delimiter="\t")]
    prefixes = ("tdx/", "sgx/", "intel-collateral/", "roots/intel/")
    assert sorted(listed) == sorted(name for name in present if name.startswith(prefixes))


def test_the_files_are_the_ones_that_were_transcribed() -> None:
    for entries in EXPECT.values():
        for entry in entries:
            assert hashlib.sha256(read(entry["file"])).hexdigest() == entry["sha256"], entry["file"]


@pytest.mark.parametrize("entry", QUOTES, ids=lambda entry: entry["file"].split("/")[1])
def test_a_quote_alone_is_refused_after_its_signatures(entry: dict[str, Any]) -> None:
    refused = refusal(bundle(entry), entry["at"])
    assert (type(refused).__name__, refused.code) == (entry["error"], entry["check"])
    if entry["check"] == "dcap.endorsements":
        passed = {check.name for check in refused.checks if check.outcome is Outcome.PASS}
        assert {"dcap.chain.pck", "dcap.validity", "dcap.qe-report.key", "dcap.signature"} <= passed
        quote = parse_evidence(bundle(entry))
        assert isinstance(quote, TdxQuote | SgxQuote)
        assert quote.header.version == entry["version"]
        assert PckChain.from_pem(quote.signature.pck_chain).identity.fmspc.hex() == entry["fmspc"]
        before = refusal(bundle(entry), entry["at"] - SECOND)
        assert before.code == "dcap.validity"


@verdicts
def test_intel_says_of_it_at_that_time(entry: dict[str, Any]) -> None:
    claims = verified(bundle(entry), entry["at"])
    assert claims.tcb.status == TcbStatus(entry["status"])
    assert list(claims.tcb.advisories) == entry["advisories"]
    checks = {check.name: check for check in claims.checks}
    own = entry["second_opinion"]
    opinion = checks.pop("dcap.second-opinion")
    if own == "agrees":
        assert opinion.outcome is Outcome.PASS
    else:
        assert opinion.outcome is Outcome.NOT_PERFORMED
        assert opinion.got.endswith(own)
    assert {name for name, check in checks.items() if check.outcome is not Outcome.PASS} == {
        f"{claims.tee}.report-data"
    }
    assert not claims.simulated
    assert (claims.root.vendor, len(claims.chip_id)) == ("Intel", 16)
    assert max(claims.dates) <= entry["at"]


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry["file"].split("-", 1)[1])
def test_what_must_not_verify(entry: dict[str, Any]) -> None:
    refused = refusal(bundle(entry), entry["at"])
    assert (type(refused).__name__, refused.code) == (entry["error"], entry["check"])


@verdicts
def test_it_binds_its_report_data(entry: dict[str, Any]) -> None:
    report_data = verified(bundle(entry), entry["at"]).report_data
    verified(bundle(entry), entry["at"], report_data)
    wrong = bytes((report_data[0] ^ 1,)) + report_data[1:]
    assert refusal(bundle(entry), entry["at"], report_data=wrong).code.endswith(".report-data")


THIRTEEN = (
    *("INTEL-SA-01010", "INTEL-SA-01036", "INTEL-SA-01076", "INTEL-SA-01079", "INTEL-SA-01099", "INTEL-SA-01103"),
    *("INTEL-SA-01111", "INTEL-SA-01192", "INTEL-SA-01245", "INTEL-SA-01312", "INTEL-SA-01313", "INTEL-SA-01314"),
    "INTEL-SA-01397",
)


def test_time_makes_the_same_quote_outdated() -> None:
    """cos-113, on five days: up to date from June to November of 2025, outdated by thirteen advisories a year later.

    The quote is one and the same; what Intel said of its platform, and when, is all that differs.
    """
    up_to_date, out_of_date = TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE
    for day, tcb_info, qe_identity, pck_crl, status, advisories, edition in (
        ("2025-06-20", "2025-06-04-ev17", "2025-06-19-ev17", "2025-06-19", up_to_date, (), 17),
        ("2025-07-10", "2025-07-07-ev17", "2025-07-07-ev17", "2025-07-07", up_to_date, (), 17),
        ("2025-10-28", "2025-10-19-ev17", "2025-10-13-ev17", "2025-10-13", up_to_date, (), 17),
        ("2025-11-05", "2025-10-19-ev17", "2025-10-28-ev17", "2025-10-13", up_to_date, (), 17),
        ("2026-06-27", "2026-06-12-ev21", "2026-06-12-ev21", "2026-06-12", out_of_date, THIRTEEN, 21),
    ):
        whole = endorsed(
            bundle_of(COS, "collateral-2025-11-04-UpToDate.json"),
            tcb_info=read(f"intel-collateral/tcbinfo-TDX-00806f050000-{tcb_info}.json"),
            qe_identity=read(f"intel-collateral/qeidentity-TD_QE-{qe_identity}.json"),
            pck_crl=read(f"intel-collateral/crl-pck-platform-{pck_crl}.der"),
            root_crl=read("intel-collateral/crl-rootca-2025-03-20.der") if edition == 17 else None,
        )
        if edition == 21:  # the root's list of that year came with the quote's own collateral
            later = bundle_of(COS, "collateral-2026-06-27-OutOfDate.json")
            whole = endorsed(whole, root_crl=later.endorsements["root_crl"])
        claims = verified(whole, datetime.fromisoformat(f"{day}T12:00:00+00:00"))
        assert (claims.tcb.status, claims.tcb.advisories) == (status, advisories), day
        assert claims.tcb.evaluation_numbers == (edition, edition), day


def test_old_collateral_cannot_hide_it() -> None:
    """The collateral of 2025, genuine and favourable, does not hold in 2026; the parts of two dates do not mix."""
    old = bundle_of(COS, "collateral-2025-11-04-UpToDate.json")
    new = bundle_of(COS, "collateral-2026-06-27-OutOfDate.json")
    at = datetime(2026, 6, 27, 22, 27, 15, tzinfo=UTC)
    for part, code in (
        ("tcb_info", "dcap.tcb-info.time"),
        ("qe_identity", "dcap.qe-identity.time"),
        ("pck_crl", "dcap.revocation"),
        ("root_crl", "dcap.revocation"),
    ):
        assert refusal(endorsed(new, **{part: old.endorsements[part]}), at).code == code


def test_collateral_of_another_platform_is_refused() -> None:
    entry = next(entry for entry in VERDICTS if entry["file"].startswith("tdx/v4-b0c06f"))
    others = (
        ("tcb_info", "tcbinfo-TDX-90c06f000000-2025-06-05-ev17.json", "dcap.tcb-info.time"),
        ("tcb_info", "tcbinfo-TDX-00806f050000-2025-07-07-ev17.json", "dcap.collateral"),
        ("tcb_info", "tcbinfo-SGX-00a067110000-2025-06-19-ev17.json", "dcap.collateral"),
        ("qe_identity", "qeidentity-QE-2025-06-19-ev17.json", "dcap.collateral"),
        ("pck_crl", "crl-pck-processor-2025-06-19.der", "dcap.revocation"),
    )
    for part, name, code in others:
        whole = endorsed(bundle(entry), **{part: read(f"intel-collateral/{name}")})
        assert refusal(whole, entry["at"]).code == code, name


def test_every_part_of_the_collateral_is_needed() -> None:
    entry = next(entry for entry in VERDICTS if entry["second_opinion"] == "agrees")
    whole = bundle(entry)
    for name in whole.endorsements:
        assert refusal(endorsed(whole, **{name: None}), entry["at"]).code == "dcap.endorsements"
    for name in ("pck_crl", "pck_crl_chain", "root_crl"):
        claims = verified(endorsed(whole, **{name: None}), entry["at"], crl_required=False)
        absent = {check.name for check in claims.checks if check.outcome is Outcome.NOT_PERFORMED}
        assert {"dcap.revocation", "dcap.second-opinion"} <= absent


def test_collateral_holds_from_its_first_to_its_last_second() -> None:
    entry = next(entry for entry in VERDICTS if entry["file"].startswith("tdx/v5-90c06f000000-openenclave"))
    whole = bundle(entry)
    last = load_qe_identity(whole.endorsements["qe_identity"]).value.next_update
    first = load_qe_identity(whole.endorsements["qe_identity"]).value.issue_date
    for at, codes in (
        (first - SECOND, {"dcap.revocation", "dcap.qe-identity.time", "dcap.tcb-info.time"}),
        (last + SECOND, {"dcap.revocation", "dcap.qe-identity.time", "dcap.tcb-info.time"}),
    ):
        assert refusal(whole, at).code in codes


def test_quotes_do_not_swap_tees_or_platforms() -> None:
    for entry in VERDICTS:
        whole = bundle(entry)
        other = "sgx" if whole.tee == "tdx" else "tdx"
        swapped = EvidenceBundle(tee=other, evidence=whole.evidence, endorsements=whole.endorsements)
        assert refusal(swapped, entry["at"]).code == f"{other}.format"


def test_intels_root_is_not_amds_and_amds_is_not_intels() -> None:
    for entry in VERDICTS:
        assert refusal(bundle(entry), entry["at"], roots=AMD_ROOTS).code == "dcap.chain.root"
    root = next(entry for entry in CERTIFICATES if entry["common_name"] == "Intel SGX Root CA")
    assert INTEL_ROOTS[0].sha256 == f"sha256:{root['sha256']}"


def test_a_policy_for_snp_refuses_it() -> None:
    entry = VERDICTS[0]
    text = f'version = 1\nprofile = "development"\n[snp]\nmeasurements = ["{"00" * 48}"]'
    policy = PlatformPolicy.parse(text.encode())
    checks = appraise_platform(verified(bundle(entry), entry["at"]), (), policy)
    assert [check.name for check in checks if check.outcome is Outcome.FAIL] == ["policy.tee"]


def test_what_the_relaunched_domain_says() -> None:
    """Launched by module 1.4, which became outdated, and run by 1.7, which is not."""
    folder = "tdx/v5-90c06f000000-openenclave-d21a11"
    entry = next(entry for entry in VERDICTS if entry["status"] == "TDRelaunchAdvised")
    assert entry["file"].startswith(folder)
    claims = verified(bundle(entry), entry["at"])
    assert isinstance(claims.report, TdxQuote)
    body = claims.report.body
    assert (body.tee_tcb_svn[:2].hex(), (body.tee_tcb_svn2 or b"")[:2].hex()) == ("0401", "0701")
    assert claims.tcb.module is not None
    assert (claims.tcb.module.status, claims.tcb.enclave.status) == (TcbStatus.OUT_OF_DATE, TcbStatus.UP_TO_DATE)
    assert claims.measurement == body.mr_td
    assert claims.host_data == body.mr_config_id
    assert claims.pck.platform_instance_id is not None
    assert (claims.pck.dynamic_platform, claims.pck.cached_keys, claims.pck.smt_enabled) == (True, False, True)


READERS: dict[str, Callable[[bytes], object]] = {
    "tcb_info": load_tcb_info,
    "qe_identity": load_qe_identity,
    "crl": load_crl,
    "pem": lambda data: [load_certificate(der, "synthetic") for der in exact_chain(data, "synthetic")],
}


@pytest.mark.parametrize("entry", COLLATERAL, ids=lambda entry: entry["file"].split("/")[1])
def test_intels_documents_are_signed_and_dated(entry: dict[str, Any]) -> None:
    data = read(entry["file"])
    if "error" in entry:
        with pytest.raises(Malformed, match="version 2, expected 3; Intel ended"):
            READERS[entry["reader"]](data)
        return
    certificates = {e["file"]: load_certificate(read(e["file"]), "recorded") for e in CERTIFICATES}
    if entry["reader"] == "crl":
        crl = load_crl(data)
        names = [name for name, certificate in certificates.items() if certificate.subject == crl.issuer]
        require_listed_by(crl, certificates[names[0]], INTEL_PLATFORM)
        assert (len(names), len(crl.revoked)) == (1, entry["revoked"])
        require_current(crl, entry["from"])
        for at in (entry["from"] - SECOND, entry["until"]):
            with pytest.raises(NotAuthentic):
                require_current(crl, at)
        return
    signed = load_tcb_info(data) if entry["reader"] == "tcb_info" else load_qe_identity(data)
    assert (signed.value.issue_date, signed.value.next_update) == (entry["from"], entry["until"])
    signers = []
    for name, certificate in certificates.items():
        try:
            ECDSA_P256.require_raw(certificate.public_key, signed.body, signed.signature)
        except NotAuthentic:
            continue
        signers.append(name)
    assert signers == ["roots/intel/tcb_signing_2018.der", "roots/intel/tcb_signing_2025.der"]  # one key, renewed


@pytest.mark.parametrize("entry", SYNTHETIC, ids=lambda entry: entry["file"])
def test_intels_own_test_files(entry: dict[str, Any]) -> None:
    """Written at random by Intel, outside of what real collateral can be; none may be read as something it is not."""
    data = read(entry["file"])

    def load() -> object:
        if entry["reader"] != "quote":
            return READERS[entry["reader"]](data)
        whole = EvidenceBundle(tee=entry["file"].partition("/")[0], evidence=data, endorsements={})
        return verify(whole, roots=INTEL_ROOTS, now=datetime(2022, 1, 1, tzinfo=UTC), report_data=None)

    if "error" in entry:
        with pytest.raises(Malformed):
            load()
    else:
        load()
