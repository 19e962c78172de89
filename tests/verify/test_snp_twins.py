"""Every check of the SEV-SNP check-list has a twin pair: evidence that passes, and the same with one thing wrong.

The evidence is simulated, the verifier is the one that judges hardware.  Each case names the check that must refuse, so
that deleting a check fails its case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Refused
from hermetic.evidence import Cpuid, EvidenceBundle, Product, SigningKey, SnpReport, Tcb
from hermetic.sources.simulator.amd import SIMULATED_MEASUREMENT, SimulatedAmd
from hermetic.sources.simulator.pki import CrlTemplate, ark_template, intermediate_template
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import AMD_ROOTS, Outcome, Root, simulated_root, verify
from hermetic.verify.kds import LeafIdentity
from snp_support import (
    CREATED,
    HOST_DATA,
    NOW,
    REPORT_DATA,
    claims,
    endorsed,
    installation,
    issue,
    keys,
    roots,
    simulated,
)

VLEK = SnpPlatform(signing_key=SigningKey.VLEK)
YEAR = timedelta(days=365)


def refusal(bundle: EvidenceBundle, amd: SimulatedAmd | None = None, **changes: Any) -> Refused:
    """The refusal of ``bundle``, which must come; its last check is the one that failed, all before it passed."""
    asked: dict[str, Any] = {"roots": roots(amd or simulated()), "now": NOW, "report_data": REPORT_DATA} | changes
    with pytest.raises(Refused) as caught:
        verify(bundle, **asked)
    *before, last = caught.value.checks
    assert {check.outcome for check in before} <= {Outcome.PASS}
    assert last.outcome is Outcome.FAIL
    assert last.name == caught.value.code
    return caught.value


@pytest.mark.parametrize("kind", [SigningKey.VCEK, SigningKey.VLEK])
@pytest.mark.parametrize(
    ("product", "version"),
    [(product, version) for product in Product for version in (2, 3, 4, 5) if (product, version) != (Product.TURIN, 2)],
)
def test_healthy_evidence_of_every_kind_passes_every_check(product: Product, kind: SigningKey, version: int) -> None:
    made = claims(SnpPlatform(version=version, signing_key=kind), product)
    assert {check.outcome for check in made.checks} == {Outcome.PASS}
    names = [check.name for check in made.checks]
    assert names == [
        "snp.format",
        "snp.signing-key",
        "snp.chain.root",
        "snp.chain.product",
        "snp.chain.intermediate",
        "snp.chain.leaf",
        "snp.validity",
        "snp.revocation",
        "snp.signature",
        "snp.product",
        "snp.tcb",
        *(["snp.chip-id"] if kind is SigningKey.VCEK else []),
        "snp.report-data",
    ]
    assert made.simulated
    assert (made.product, made.tee) == (product, "sev-snp")
    assert (made.report_data, made.host_data, made.measurement) == (REPORT_DATA, HOST_DATA, SIMULATED_MEASUREMENT)
    assert made.provider == (None if kind is SigningKey.VCEK else "CN=hermetic-simulator.example")
    assert made.chip_id == simulated(product).chip_id.ljust(0 if kind is SigningKey.VCEK else 64, b"\0")
    assert made.dates[0] == CREATED
    assert max(made.dates) == NOW.replace(hour=0) - timedelta(days=1)


# SNP 1


@pytest.mark.parametrize("name", ["leaf", "intermediate", "root"])
def test_a_certificate_that_is_missing(name: str) -> None:
    refused = refusal(endorsed(issue(), **{name: None}))
    assert isinstance(refused, NotAuthentic)
    assert refused.code == "snp.format"
    assert name in refused.message
    assert refused.fix


@pytest.mark.parametrize("name", ["leaf", "intermediate", "root", "crl"])
@pytest.mark.parametrize("change", [lambda der: b"", lambda der: der[:-1], lambda der: der + b"\0"])
def test_an_endorsement_that_cannot_be_read(name: str, change: Callable[[bytes], bytes]) -> None:
    bundle = issue()
    refused = refusal(endorsed(bundle, **{name: change(bundle.endorsements[name])}))
    assert isinstance(refused, Malformed)
    assert refused.code == "snp.format"


# SNP 2


def test_a_report_that_no_key_signed() -> None:
    assert refusal(issue(platform=SnpPlatform(signing_key=SigningKey.NONE))).code == "snp.signing-key"


def test_a_chip_key_on_a_platform_that_masks_it() -> None:
    assert refusal(issue(platform=SnpPlatform(mask_chip_key=True))).code == "snp.signing-key"
    claims(replace(VLEK, mask_chip_key=True))


@pytest.mark.parametrize("said", [SigningKey.VCEK, SigningKey.VLEK])
def test_a_report_says_one_key_and_has_the_certificates_of_the_other(said: SigningKey) -> None:
    """The signature, the chain and everything else hold: only what the report says of its key does not fit."""
    amd, platform = simulated(), SnpPlatform(signing_key=said)
    other = SnpPlatform(signing_key=SigningKey.VLEK if said is SigningKey.VCEK else SigningKey.VCEK)
    signed = issue(platform=platform, signer=amd.chip_key(other))
    foreign = issue(platform=other).endorsements
    assert refusal(endorsed(signed, **foreign)).code == "snp.signing-key"


@pytest.mark.parametrize("platform", [SnpPlatform(), VLEK], ids=["VCEK", "VLEK"])
def test_a_leaf_of_another_name(platform: SnpPlatform) -> None:
    template = simulated().leaf_template(platform, now=NOW)
    other = "SEV-VLEK" if template.common_name == "SEV-VCEK" else "SEV-VCEK"
    assert refusal(issue(platform=platform, leaf=replace(template, common_name=other))).code == "snp.signing-key"


@pytest.mark.parametrize("platform", [SnpPlatform(), VLEK], ids=["VCEK", "VLEK"])
def test_a_leaf_that_names_the_other_kind_of_owner(platform: SnpPlatform) -> None:
    amd = simulated()
    identity = amd.leaf_identity(platform)
    foreign = (
        replace(identity, hwid=None, csp_id="CN=cloud.example")
        if identity.hwid
        else replace(identity, hwid=amd.chip_id, csp_id=None)
    )
    template = replace(amd.leaf_template(platform, now=NOW), extensions=foreign.to_extensions())
    assert refusal(issue(platform=platform, leaf=template)).code == "snp.signing-key"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (SigningKey.VCEK, "SEV-VLEK-Genoa"),
        (SigningKey.VCEK, "SEV-Milan"),
        (SigningKey.VLEK, "SEV-Genoa"),
        (SigningKey.VLEK, "SEV-VLEK-Turin"),
    ],
)
def test_an_intermediate_of_another_name(kind: SigningKey, name: str) -> None:
    template = intermediate_template(Product.GENOA, kind, keys(), CREATED)
    field = "ask" if kind is SigningKey.VCEK else "asvk"
    amd = SimulatedAmd(installation(Product.GENOA, **{field: replace(template, common_name=name)}))
    assert refusal(issue(amd, platform=SnpPlatform(signing_key=kind)), amd).code == "snp.signing-key"


# SNP 3


def test_a_root_that_nobody_pinned() -> None:
    assert refusal(issue(simulated(Product.TURIN)), simulated(Product.GENOA)).code == "snp.chain.root"


def with_ark(**changes: Any) -> SimulatedAmd:
    return SimulatedAmd(
        installation(Product.GENOA, ark=replace(ark_template(Product.GENOA, keys(), CREATED), **changes))
    )


def with_ask(**changes: Any) -> SimulatedAmd:
    template = intermediate_template(Product.GENOA, SigningKey.VCEK, keys(), CREATED)
    return SimulatedAmd(installation(Product.GENOA, ask=replace(template, **changes)))


def with_leaf(**changes: Any) -> EvidenceBundle:
    return issue(leaf=replace(simulated().leaf_template(SnpPlatform(), now=NOW), **changes))


@pytest.mark.parametrize("changes", [{"authority": False}, {"signs_crls": False}, {"path_length": 1}], ids=str)
def test_a_root_that_is_no_authority(changes: dict[str, Any]) -> None:
    amd = with_ark(**changes)
    assert refusal(issue(amd), amd).code == "snp.chain.root"


def test_a_root_of_another_product() -> None:
    amd = with_ark(common_name="ARK-Milan")
    assert refusal(issue(amd), amd).code == "snp.chain.product"


def test_a_root_that_was_pinned_for_another_product() -> None:
    amd = simulated()
    pinned = Root(name="ARK-Turin", sha256=amd.root_digest, vendor="test", product=Product.TURIN)
    assert refusal(issue(amd), roots=(pinned,)).code == "snp.chain.product"
    verify(issue(amd), roots=(replace(pinned, product=Product.GENOA),), now=NOW, report_data=REPORT_DATA)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"authority": False}, id="no authority"),
        pytest.param({"path_length": None}, id="no limit of depth"),
        pytest.param({"path_length": 1}, id="too deep"),
        pytest.param({"hash_name": "sha256"}, id="SHA-256"),
        pytest.param({"salt": 32}, id="a short salt"),
        pytest.param({"public_key": ec.derive_private_key(7, ec.SECP384R1()).public_key()}, id="a key that is not RSA"),
    ],
)
def test_an_intermediate_that_may_not_sign(changes: dict[str, Any]) -> None:
    amd = with_ask(**changes)
    assert refusal(issue(amd), amd).code == "snp.chain.intermediate"


def test_an_intermediate_that_another_root_signed() -> None:
    impostor = intermediate_template(Product.GENOA, SigningKey.VCEK, keys(), CREATED).sign("ARK-Genoa", keys().asvk)
    assert refusal(endorsed(issue(), intermediate=impostor)).code == "snp.chain.intermediate"


def test_an_intermediate_that_names_another_issuer() -> None:
    misnamed = intermediate_template(Product.GENOA, SigningKey.VCEK, keys(), CREATED).sign("ARK-Milan", keys().ark)
    assert refusal(endorsed(issue(), intermediate=misnamed)).code == "snp.chain.intermediate"


@pytest.mark.parametrize("changes", [{"hash_name": "sha256"}, {"salt": 32}], ids=str)
def test_a_leaf_signed_with_another_scheme(changes: dict[str, Any]) -> None:
    assert refusal(with_leaf(**changes)).code == "snp.chain.leaf"


def test_a_leaf_signed_without_pss() -> None:
    """PKCS#1 v1.5 by the right key: the scheme is the verifier's to fix, not the certificate's."""
    good = x509.load_der_x509_certificate(issue().endorsements["leaf"])
    builder = x509.CertificateBuilder(
        good.issuer, good.subject, good.public_key(), 1, good.not_valid_before_utc, good.not_valid_after_utc
    )
    for extension in good.extensions:
        builder = builder.add_extension(extension.value, critical=False)
    old = builder.sign(keys().ask, hashes.SHA384(), rsa_padding=padding.PKCS1v15())
    assert refusal(endorsed(issue(), leaf=old.public_bytes(serialization.Encoding.DER))).code == "snp.chain.leaf"


def test_a_leaf_that_is_an_authority_too() -> None:
    assert "is an authority" in refusal(with_leaf(authority=True)).message


def test_a_leaf_that_another_intermediate_signed() -> None:
    template = simulated().leaf_template(SnpPlatform(), now=NOW)
    assert refusal(endorsed(issue(), leaf=template.sign("SEV-Genoa", keys().asvk))).code == "snp.chain.leaf"


def test_a_leaf_that_names_another_issuer() -> None:
    template = simulated().leaf_template(SnpPlatform(), now=NOW)
    assert refusal(endorsed(issue(), leaf=template.sign("SEV-Milan", keys().ask))).code == "snp.chain.leaf"


def test_an_intermediate_with_a_short_key() -> None:
    short = rsa_keys.generate_private_key(public_exponent=65537, key_size=2048)
    amd = with_ask(public_key=short.public_key())
    assert refusal(issue(amd), amd).code == "snp.chain.intermediate"


def test_a_critical_extension_that_nobody_understands() -> None:
    refused = refusal(with_leaf(critical=True))
    assert (type(refused), refused.code) == (Malformed, "snp.format")


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(CREATED - timedelta(seconds=1), id="before the chain began"),
        pytest.param(CREATED + 7 * YEAR + timedelta(seconds=1), id="after the leaf ended"),
    ],
)
def test_a_time_at_which_the_leaf_is_not_valid(now: datetime) -> None:
    crl = CrlTemplate(this_update=CREATED - YEAR, next_update=CREATED + 30 * YEAR)
    for still in (CREATED, CREATED + 7 * YEAR):
        verify(issue(crl=crl), roots=roots(simulated()), now=still, report_data=REPORT_DATA)
    assert refusal(issue(crl=crl), now=now).code == "snp.validity"


@pytest.mark.parametrize("which", ["ark", "ask"])
@pytest.mark.parametrize("changes", [{"not_after": NOW - YEAR / 365}, {"not_before": NOW + YEAR / 365}], ids=str)
def test_an_authority_that_is_not_valid_now(which: str, changes: dict[str, datetime]) -> None:
    amd = with_ark(**changes) if which == "ark" else with_ask(**changes)
    assert refusal(issue(amd), amd).code == "snp.validity"


# SNP 4


def test_evidence_without_a_revocation_list() -> None:
    bundle = endorsed(issue(), crl=None)
    refused = refusal(bundle)
    assert refused.code == "snp.revocation"
    assert "/vcek/v1/Genoa/crl" in refused.fix


def test_recorded_evidence_without_a_list_says_so() -> None:
    bundle = endorsed(issue(), crl=None)
    made = verify(bundle, roots=roots(simulated()), now=NOW, report_data=REPORT_DATA, crl_required=False)
    assert [check.name for check in made.checks if check.outcome is not Outcome.PASS] == ["snp.revocation"]
    assert next(check for check in made.checks if check.name == "snp.revocation").outcome is Outcome.NOT_PERFORMED
    assert len(made.dates) == 3


def listed(**changes: Any) -> EvidenceBundle:
    return issue(crl=replace(simulated().crl_template(now=NOW), **changes))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"revoked": (0x10001,)}, id="the intermediate is revoked"),
        pytest.param({"revoked": (77, 1)}, id="the leaf is revoked"),
        pytest.param({"next_update": NOW}, id="the list has just ended"),
        pytest.param({"this_update": NOW + timedelta(seconds=1)}, id="the list has not begun"),
        pytest.param({"hash_name": "sha256"}, id="SHA-256"),
        pytest.param({"salt": 32}, id="a short salt"),
    ],
)
@pytest.mark.parametrize("crl_required", [True, False])
def test_a_list_that_refuses(changes: dict[str, Any], crl_required: bool) -> None:
    """A list that is there is judged, whether or not one was required."""
    assert refusal(listed(**changes), crl_required=crl_required).code == "snp.revocation"


def test_amds_own_revocation_in_miniature() -> None:
    """Genoa's list revokes 0x20001, the first Genoa ASK; what that ASK signed refuses, what today's signs passes."""
    crl = simulated().crl_template(now=NOW)
    for serial, revoked in ((0x20001, True), (0x20002, False)):
        amd = with_ask(serial=serial)
        bundle = issue(amd, crl=replace(crl, revoked=(0x20001,)))
        if revoked:
            assert "0x20001" in refusal(bundle, amd).message
        else:
            verify(bundle, roots=roots(amd), now=NOW, report_data=REPORT_DATA)


def test_a_list_that_revokes_others() -> None:
    verify(listed(revoked=(0x20001, 77)), roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)


@pytest.mark.parametrize(
    ("issuer", "key"),
    [
        pytest.param("ARK-Genoa", "ask", id="signed by another key"),
        pytest.param("SEV-Genoa", "ark", id="another issuer's name"),
    ],
)
def test_a_list_that_the_root_did_not_make(issuer: str, key: str) -> None:
    crl = simulated().crl_template(now=NOW).sign(issuer, getattr(keys(), key))
    assert refusal(endorsed(issue(), crl=crl)).code == "snp.revocation"


def test_a_list_that_says_it_is_partial() -> None:
    assert refusal(listed(delta=True)).code == "snp.format"


# SNP 5


def test_a_report_signed_by_another_key() -> None:
    other = ec.derive_private_key(12345, ec.SECP384R1())
    assert refusal(issue(signer=other)).code == "snp.signature"


def test_a_report_signed_by_the_key_of_another_firmware() -> None:
    """VCEKs are made for one TCB: that of an older one must not speak for today's."""
    older = SnpPlatform(reported_tcb=Tcb(boot_loader=9, tee=0, snp=25, microcode=84))
    assert refusal(issue(signer=simulated().chip_key(older))).code == "snp.signature"


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP256K1()], ids=lambda curve: curve.name)
def test_a_certified_key_on_another_curve(curve: ec.EllipticCurve) -> None:
    """Certified by the real intermediate, and the signature holds: only the curve is wrong."""
    key = ec.derive_private_key(12345, curve)
    leaf = replace(simulated().leaf_template(SnpPlatform(), now=NOW), public_key=key.public_key())
    assert refusal(issue(leaf=leaf, signer=key)).code == "snp.signature"


def test_a_certified_key_that_is_not_on_a_curve() -> None:
    leaf = replace(simulated().leaf_template(SnpPlatform(), now=NOW), public_key=keys().ask.public_key())
    assert refusal(issue(leaf=leaf)).code == "snp.signature"


@pytest.mark.parametrize(("offset", "name"), [(0x2A0, "r"), (0x2E8, "s")])
def test_a_signature_of_zero(offset: int, name: str) -> None:
    bundle = issue()
    evidence = bundle.evidence[:offset] + bytes(72) + bundle.evidence[offset + 72 :]
    zeroed = EvidenceBundle(tee=bundle.tee, evidence=evidence, endorsements=bundle.endorsements)
    assert refusal(zeroed).code == "snp.signature"


# SNP 6


@pytest.mark.parametrize(
    "cpuid",
    [
        pytest.param(Cpuid(family=0x19, model=0x01, stepping=1), id="a Milan"),
        pytest.param(Cpuid(family=0x1A, model=0x02, stepping=1), id="a Turin"),
        pytest.param(Cpuid(family=0x17, model=0x31, stepping=1), id="a processor without SEV-SNP"),
    ],
)
def test_a_report_from_another_product(cpuid: Cpuid) -> None:
    claims(SnpPlatform(cpuid=Cpuid(family=0x19, model=0xA0, stepping=2)))  # Bergamo is a Genoa
    assert refusal(issue(platform=SnpPlatform(cpuid=cpuid))).code == "snp.product"


def test_turin_makes_no_report_without_a_cpuid() -> None:
    amd = simulated(Product.TURIN)
    assert refusal(issue(amd, platform=SnpPlatform(version=2)), amd).code == "snp.product"


def identified(**changes: Any) -> EvidenceBundle:
    identity = replace(simulated().leaf_identity(SnpPlatform()), **changes)
    return with_leaf(extensions=identity.to_extensions())


@pytest.mark.parametrize("component", ["boot_loader", "tee", "snp", "microcode"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_certificate_for_another_firmware(component: str, step: int) -> None:
    levels = {"boot_loader": 10, "tee": 5, "snp": 25, "microcode": 84}
    platform = SnpPlatform(reported_tcb=Tcb(**levels))
    foreign = replace(simulated().leaf_identity(platform), tcb=Tcb(**{**levels, component: levels[component] + step}))
    leaf = replace(simulated().leaf_template(platform, now=NOW), extensions=foreign.to_extensions())
    claims(platform)
    assert refusal(issue(platform=platform, leaf=leaf)).code == "snp.tcb"


def test_a_certificate_for_another_fmc_of_turin() -> None:
    amd, platform = simulated(Product.TURIN), SnpPlatform()
    identity = amd.leaf_identity(platform)
    foreign = replace(identity, tcb=replace(identity.tcb, fmc=1))
    leaf = replace(amd.leaf_template(platform, now=NOW), extensions=foreign.to_extensions())
    assert refusal(issue(amd, leaf=leaf), amd).code == "snp.tcb"


@pytest.mark.parametrize("offset", [0x38, 0x180, 0x1E0, 0x1F0], ids=["current", "reported", "committed", "launch"])
def test_a_tcb_with_a_reserved_byte(offset: int) -> None:
    """Signed by the right key over exactly these bytes."""
    amd = simulated()
    tampered = bytearray(issue(amd).evidence)
    tampered[offset + 3] = 1
    signed = amd.sign(SnpReport.from_bytes(bytes(tampered)), amd.chip_key(SnpPlatform()))
    bundle = issue(amd)
    refused = refusal(EvidenceBundle(tee=bundle.tee, evidence=signed.to_bytes(), endorsements=bundle.endorsements), amd)
    assert refused.code == "snp.tcb"


@pytest.mark.parametrize("product", Product)
def test_a_certificate_for_another_chip(product: Product) -> None:
    amd = simulated(product)
    chip = bytes((amd.chip_id[0] ^ 1,)) + amd.chip_id[1:]
    identity = replace(amd.leaf_identity(SnpPlatform()), hwid=chip)
    leaf = replace(amd.leaf_template(SnpPlatform(), now=NOW), extensions=identity.to_extensions())
    assert refusal(issue(amd, leaf=leaf), amd).code == "snp.chip-id"


@pytest.mark.parametrize("product", Product)
def test_a_masked_chip_is_the_one_that_the_certificate_names(product: Product) -> None:
    assert claims(SnpPlatform(mask_chip_id=True), product).chip_id == simulated(product).chip_id


def test_a_masked_chip_under_a_providers_key_stays_unknown() -> None:
    assert claims(replace(VLEK, mask_chip_id=True)).chip_id == b""


@pytest.mark.parametrize("prefix", [b"\x04\x40", b""], ids=["an OCTET STRING", "bare"])
def test_both_spellings_of_a_hardware_identity(prefix: bytes) -> None:
    extensions = simulated().leaf_identity(SnpPlatform()).to_extensions()
    hwid = "1.3.6.1.4.1.3704.1.4"
    bundle = with_leaf(extensions={**extensions, hwid: prefix + extensions[hwid]})
    made = verify(bundle, roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)
    assert made.chip_id == simulated().chip_id


# SNP 7


def test_a_report_over_something_else() -> None:
    other = REPORT_DATA[:-1] + b"\xff"
    refused = refusal(issue(), report_data=other)
    assert refused.code == "snp.report-data"
    assert refused.fix


def test_a_comparison_that_was_not_asked_for_is_not_a_pass() -> None:
    made = verify(issue(), roots=roots(simulated()), now=NOW, report_data=None)
    assert [check.name for check in made.checks if check.outcome is Outcome.NOT_PERFORMED] == ["snp.report-data"]


# What the caller must say


def test_simulated_and_real_never_meet() -> None:
    assert refusal(issue(), roots=AMD_ROOTS).code == "snp.chain.root"
    assert verify(issue(), roots=(*AMD_ROOTS, *roots(simulated())), now=NOW, report_data=REPORT_DATA).simulated


def test_simulated_derives_from_the_root_alone() -> None:
    amd = simulated()
    unmarked = Root(name="test", sha256=amd.root_digest, vendor="test")
    assert not verify(issue(amd), roots=(unmarked,), now=NOW, report_data=REPORT_DATA).simulated


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"roots": ()}, id="no roots"),
        pytest.param({"roots": AMD_ROOTS + AMD_ROOTS[:1]}, id="a root twice"),
        pytest.param({"now": datetime(2026, 2, 3)}, id="a time without a zone"),
        pytest.param({"now": datetime.fromisoformat("2026-02-03T12:00+01:00")}, id="a time in another zone"),
        pytest.param({"report_data": bytes(63)}, id="short report data"),
        pytest.param({"report_data": b""}, id="no report data"),
    ],
)
def test_what_cannot_be_meant(changes: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"roots": roots(simulated()), "now": NOW, "report_data": REPORT_DATA}
    with pytest.raises(Misconfigured):
        verify(issue(), **(asked | changes))


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "A" * 64, AMD_ROOTS[0].sha256])
def test_what_cannot_be_a_simulated_root(digest: str) -> None:
    with pytest.raises(Misconfigured):
        simulated_root(digest)


def test_a_leaf_identity_is_what_it_was() -> None:
    for product in Product:
        identity = simulated(product).leaf_identity(SnpPlatform())
        assert LeafIdentity.from_extensions(identity.to_extensions()) == identity


def test_a_person_sees_that_a_certificate_is_simulated() -> None:
    bundle = issue()
    for name in ("leaf", "intermediate", "root"):
        subject = x509.load_der_x509_certificate(bundle.endorsements[name]).subject.rfc4514_string()
        assert "O=Hermetic Simulator" in subject
        assert "Advanced Micro Devices" not in subject
