"""Every recorded SEV-SNP vector, at its time, against what expect.toml says must become of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import SEV_SNP, EvidenceBundle, Product, SigningKey
from hermetic.evidence.x509 import load_certificate, load_crl
from hermetic.policy.snp import SnpPolicy, appraise_snp
from hermetic.verify import AMD_ROOTS, Outcome, SnpClaims, verify
from hermetic.verify.chain import AMD, require_listed_by
from snp_support import NOW, RECORDED, amd_chain, amd_crl, endorsed, issue, recorded, roots, simulated
from vectors import needs_vectors

# AMD gives its leaves the serial number zero, of which the library below warns on each load.
pytestmark = [needs_vectors, pytest.mark.filterwarnings("ignore:Parsed a serial number")]

EXPECT = tomllib.loads((Path(__file__).parent / "expect.toml").read_text(encoding="utf-8"))
EVIDENCE, REFUSED, ROOTS, LISTS = (EXPECT[kind] for kind in ("evidence", "refused", "root", "lists"))
SECOND = timedelta(seconds=1)

evidence = pytest.mark.parametrize("entry", EVIDENCE, ids=lambda entry: entry["report"].split("/")[1])


def read(file: str) -> bytes:
    return (RECORDED / file).read_bytes()


def bundle(entry: dict[str, Any], **endorsements: bytes | None) -> EvidenceBundle:
    kind = SigningKey[entry.get("key", "VCEK")]
    whole = recorded(read(entry["report"]), read(entry["leaf"]), Product(entry["product"]), kind)
    return endorsed(whole, **endorsements)


def verified(entry: dict[str, Any], at: datetime | None = None, **endorsements: bytes | None) -> SnpClaims:
    whole = bundle(entry, **endorsements)
    required = "crl" in whole.endorsements
    claims = verify(whole, roots=AMD_ROOTS, now=at or entry["at"], report_data=None, crl_required=required)
    assert isinstance(claims, SnpClaims)
    return claims


def test_every_recorded_file_has_its_entry() -> None:
    listed = {entry[field] for entry in EVIDENCE for field in ("report", "leaf")}
    listed |= {entry["file"] for entry in REFUSED + ROOTS + LISTS}
    with (RECORDED / "PROVENANCE.tsv").open(encoding="utf-8", newline="") as file:
        present = {row["file"] for row in csv.DictReader(file, delimiter="\t")}
    assert listed == {name for name in present if name.startswith(("sev-snp/", "roots/amd/"))}


@pytest.mark.parametrize(
    ("file", "sha256"),
    [(entry[field], entry[f"{field}_sha256"]) for entry in EVIDENCE for field in ("report", "leaf")]
    + [(entry["file"], entry["sha256"]) for entry in REFUSED + ROOTS + LISTS],
)
def test_the_files_are_the_ones_that_were_transcribed(file: str, sha256: str) -> None:
    assert hashlib.sha256(read(file)).hexdigest() == sha256


@evidence
def test_real_evidence_verifies_at_its_time(entry: dict[str, Any]) -> None:
    claims = verified(entry)
    not_performed = {check.name for check in claims.checks if check.outcome is not Outcome.PASS}
    assert not_performed == {"snp.report-data"} | (set() if entry["crl"] else {"snp.revocation"})
    assert not claims.simulated
    assert claims.root.name == f"ARK-{entry['product']}"

    report = claims.report
    assert (report.version, report.vmpl) == (entry["version"], entry["vmpl"])
    assert report.policy.to_int() == entry["policy"]
    assert report.platform_info.to_int() == entry["platform_info"]
    assert str(report.current_firmware) == entry["firmware"]
    assert report.reported_tcb.raw.hex() == entry["reported_tcb"]


@evidence
def test_it_binds_its_report_data(entry: dict[str, Any]) -> None:
    report_data = verified(entry).report_data
    wrong = bytes((report_data[0] ^ 1,)) + report_data[1:]
    for asked in (report_data, wrong):
        arguments: dict[str, Any] = {"roots": AMD_ROOTS, "now": entry["at"], "crl_required": entry["crl"]}
        if asked is wrong:
            with pytest.raises(NotAuthentic) as refused:
                verify(bundle(entry), report_data=asked, **arguments)
            assert refused.value.code == "snp.report-data"
        else:
            verify(bundle(entry), report_data=asked, **arguments)


@evidence
def test_it_verifies_from_the_first_to_the_last_second_and_no_longer(entry: dict[str, Any]) -> None:
    """A VLEK lives a year, a VCEK seven; the list, which ends sooner, is left out here."""
    first, last = entry["valid"]
    for at in (first, last):
        verified(entry, at, crl=None)
    for at in (first - SECOND, last + SECOND):
        with pytest.raises(NotAuthentic) as refused:
            verified(entry, at, crl=None)
        assert refused.value.code == "snp.validity"


@pytest.mark.parametrize("product", [Product.MILAN, Product.GENOA])
def test_a_real_list_ends_too(product: Product) -> None:
    entry = next(entry for entry in EVIDENCE if entry["product"] == product)
    der = amd_crl(product)
    assert der is not None
    crl = load_crl(der)
    assert crl.next_update is not None
    verified(entry, crl.next_update - SECOND)
    with pytest.raises(NotAuthentic) as refused:
        verified(entry, crl.next_update)
    assert refused.value.code == "snp.revocation"


def test_evidence_without_the_list_of_its_time_needs_to_be_asked_for() -> None:
    turin = next(entry for entry in EVIDENCE if entry["product"] == "Turin")
    with pytest.raises(NotAuthentic) as refused:
        verify(bundle(turin), roots=AMD_ROOTS, now=turin["at"], report_data=None)
    assert refused.value.code == "snp.revocation"


@evidence
def test_what_a_default_policy_says_of_it(entry: dict[str, Any]) -> None:
    claims = verified(entry)
    policy = SnpPolicy(products=(claims.product,), measurements=(claims.measurement.hex(),))
    failed = [check.name for check in appraise_snp(claims, policy) if check.outcome is not Outcome.PASS]
    assert failed == entry["default_policy_refuses"]


@evidence
def test_milan_is_refused_unless_a_policy_names_it(entry: dict[str, Any]) -> None:
    claims = verified(entry)
    checks = {check.name: check for check in appraise_snp(claims, SnpPolicy(measurements=("00" * 48,)))}
    refused = checks["policy.snp.product"].outcome is Outcome.FAIL
    assert refused == (claims.product is Product.MILAN)


def test_turins_unknown_bit_passes_once_it_is_named() -> None:
    claims = verified(next(entry for entry in EVIDENCE if entry["product"] == "Turin"))
    for named, outcome in (((), Outcome.FAIL), ((7,), Outcome.FAIL), ((6,), Outcome.PASS)):
        policy = SnpPolicy(measurements=(claims.measurement.hex(),), allow_platform_bits=named)
        checks = {check.name: check for check in appraise_snp(claims, policy)}
        assert checks["policy.snp.platform-bits"].outcome is outcome


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry["file"].split("/", 1)[1])
def test_what_must_not_verify(entry: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        verified(entry)
    assert (type(refused.value).__name__, refused.value.code) == (entry["error"], entry["check"])


def test_reports_without_a_known_chip_verify_under_no_recorded_chip() -> None:
    """The signature cannot be checked: nobody's certificate may make it look as if it had been."""
    unverifiable = {entry["report"] for entry in REFUSED if "/unverifiable/" in entry["report"]}
    assert len(unverifiable) == 6
    for report in unverifiable:
        for entry in EVIDENCE:
            with pytest.raises(Refused):
                verified({**entry, "report": report})


def test_no_recorded_chip_verifies_another() -> None:
    for entry in EVIDENCE:
        for other in EVIDENCE:
            if read(entry["leaf"]) != read(other["leaf"]):
                with pytest.raises(Refused):
                    verified({**entry, "leaf": other["leaf"], "product": other["product"], "key": other["key"]})


@pytest.mark.parametrize("entry", ROOTS, ids=lambda entry: entry["file"])
def test_the_pinned_roots_are_amds(entry: dict[str, Any]) -> None:
    product = Product(entry["root"].removeprefix("ARK-"))
    kind = SigningKey.VLEK if "VLEK" in entry["intermediate"] else SigningKey.VCEK
    chain = amd_chain(product, kind)
    assert load_certificate(chain["intermediate"], "intermediate").common_name == entry["intermediate"]
    assert hashlib.sha256(chain["root"]).hexdigest() == entry["root_sha256"]
    pinned = next(root for root in AMD_ROOTS if root.product is product)
    assert pinned.sha256 == f"sha256:{entry['root_sha256']}"
    assert pinned.name == entry["root"]


@pytest.mark.parametrize("product", list(Product))
def test_amds_lists(product: Product) -> None:
    der, expected = amd_crl(product), LISTS[0].get(product)
    if expected is None:
        assert der is None
        return
    assert der is not None
    listed = load_crl(der)
    root = load_certificate(amd_chain(product, SigningKey.VCEK)["root"], "ARK")
    require_listed_by(listed, root, AMD)
    assert (listed.this_update, listed.next_update) == (expected["from"], expected["until"])
    assert sorted(listed.revoked) == expected["revoked"]


def test_amd_revoked_the_first_genoa_ask_and_not_todays() -> None:
    der = amd_crl(Product.GENOA)
    assert der is not None
    todays = load_certificate(amd_chain(Product.GENOA, SigningKey.VCEK)["intermediate"], "ASK").serial_number
    assert load_crl(der).revoked == {0x20001}
    assert todays == 0x20002


def test_real_evidence_never_verifies_under_a_simulated_root() -> None:
    for entry in EVIDENCE:
        with pytest.raises(NotAuthentic) as refused:
            verify(bundle(entry), roots=roots(simulated()), now=entry["at"], report_data=None, crl_required=False)
        assert refused.value.code == "snp.chain.root"


def test_a_simulated_leaf_never_verifies_under_amds_chain() -> None:
    forged = endorsed(issue(), **amd_chain(Product.GENOA, SigningKey.VCEK), crl=None)
    with pytest.raises(NotAuthentic) as refused:
        verify(forged, roots=AMD_ROOTS, now=NOW, report_data=None, crl_required=False)
    assert refused.value.code == "snp.chain.leaf"


@pytest.mark.parametrize("name", ["encryption", "signing"])
def test_genuine_attestations_of_a_public_key(name: str) -> None:
    """Azure's own bundles: the report data is the SHA-256 of a public key, zero-padded."""
    document = json.loads(read(f"azure/key-bound/insecure-virtual_{name}_attestation.json"))
    container = document["report"]["snpCACI"]
    pem = base64.b64decode(container["platformCertificates"])
    leaf, intermediate, root = (
        certificate.public_bytes(serialization.Encoding.DER) for certificate in x509.load_pem_x509_certificates(pem)
    )
    crl = amd_crl(Product.MILAN)
    assert crl is not None
    evidence = EvidenceBundle(
        tee=SEV_SNP,
        evidence=base64.b64decode(container["attestation"]),
        endorsements={"leaf": leaf, "intermediate": intermediate, "root": root, "crl": crl},
    )
    bound = hashlib.sha256(document["publicKey"].strip().encode()).digest().ljust(64, b"\0")
    now = datetime(2026, 4, 1, tzinfo=UTC)
    claims = verify(evidence, roots=AMD_ROOTS, now=now, report_data=bound)
    assert {check.outcome for check in claims.checks} == {Outcome.PASS}

    other = hashlib.sha256(b"another key").digest().ljust(64, b"\0")
    with pytest.raises(NotAuthentic):
        verify(evidence, roots=AMD_ROOTS, now=now, report_data=other)


def test_version_1_is_malformed_before_anything_is_believed() -> None:
    entry = next(entry for entry in REFUSED if "v1-" in entry["file"])
    with pytest.raises(Malformed, match="version 1"):
        verified(entry)
