"""The vendors' rules: each line of them has a certificate, a list or a signature that breaks it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import Certificate, RevocationList, load_certificate, load_crl
from hermetic.verify import AMD_ROOTS, Root
from hermetic.verify._algorithms import ECDSA_P256, ECDSA_P384, RSA_4096_PSS
from hermetic.verify.chain import (
    AMD,
    INTEL_COLLATERAL,
    INTEL_PLATFORM,
    NVIDIA,
    Rules,
    require_authority,
    require_chain,
    require_current,
    require_issued,
    require_leaf,
    require_listed_by,
    require_pinned,
    require_same,
    require_unrevoked,
    require_valid,
)
from hermetic.verify.roots import names_of
from snp_support import NOW, issue, keys, simulated

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
P256, P384 = ec.derive_private_key(5, ec.SECP256R1()), ec.derive_private_key(6, ec.SECP384R1())
KEYS: dict[Rules, Any] = {AMD: keys().ask, INTEL_PLATFORM: P256, INTEL_COLLATERAL: P256, NVIDIA: P384}
HASHES: dict[Rules, Any] = {
    AMD: hashes.SHA384(),
    INTEL_PLATFORM: hashes.SHA256(),
    INTEL_COLLATERAL: hashes.SHA256(),
    NVIDIA: hashes.SHA384(),
}
CA, ROOT, PCK, SIGNER = (
    "Intel SGX PCK Platform CA",
    "Intel SGX Root CA",
    "Intel SGX PCK Certificate",
    "Intel SGX TCB Signing",
)
NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)


def depth(path_length: int | None) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=path_length)


def usage(*, statements: bool = False, certificates: bool = False, lists: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(statements, False, False, False, False, certificates, lists, False, False)


AUTHORITY, STATEMENTS = usage(certificates=True, lists=True), usage(statements=True)


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    rules: Rules,
    name: str = "one",
    constraints: x509.BasicConstraints | None = None,
    use: x509.KeyUsage | None = None,
    *,
    critical: bool = True,
    key: Any = None,
    issuer: str | None = None,
    signer: Any = None,
) -> Certificate:
    """As the vendor would sign it: with its kind of key, unless given another, by itself, unless by another."""
    key = key or KEYS[rules]
    builder = x509.CertificateBuilder(named(issuer or name), named(name), key.public_key(), 7, NOW, NOW + DAY)
    if constraints is not None:
        builder = builder.add_extension(constraints, critical)
    if use is not None:
        builder = builder.add_extension(use, True)
    return load_certificate(signed(builder, rules, signer), "made")


def signed(
    builder: x509.CertificateBuilder | x509.CertificateRevocationListBuilder, rules: Rules, signer: Any = None
) -> bytes:
    signer = signer or KEYS[rules]
    pss = padding.PSS(padding.MGF1(HASHES[rules]), HASHES[rules].digest_size)
    how = pss if isinstance(signer, rsa.RSAPrivateKey) else None
    return builder.sign(signer, HASHES[rules], rsa_padding=how).public_bytes(serialization.Encoding.DER)


def crl(rules: Rules, issuer: str = "one", *revoked: int, signer: Any = None, until: bool = True) -> RevocationList:
    entries = [x509.RevokedCertificateBuilder(number, NOW).build() for number in revoked]
    builder = x509.CertificateRevocationListBuilder(named(issuer), NOW, NOW + DAY, revoked_certificates=entries)
    listed = load_crl(signed(builder, rules, signer))
    return listed if until else replace(listed, next_update=None)


# Authorities.

AUTHORITIES = [
    pytest.param(AMD, 0, "SEV-Genoa", depth(0), usage(certificates=True), id="AMD's intermediate"),
    pytest.param(AMD, 1, "ARK-Genoa", depth(None), AUTHORITY, id="AMD's root"),
    pytest.param(INTEL_PLATFORM, 0, CA, depth(0), AUTHORITY, id="Intel's authority of platforms"),
    pytest.param(INTEL_PLATFORM, 1, ROOT, depth(1), AUTHORITY, id="Intel's root"),
    pytest.param(INTEL_COLLATERAL, 0, ROOT, depth(1), AUTHORITY, id="Intel's root over collateral"),
    pytest.param(NVIDIA, 0, "BROM", depth(None), usage(certificates=True), id="NVIDIA's boot ROM"),
    pytest.param(NVIDIA, 2, "Identity", depth(2), AUTHORITY, id="NVIDIA's, deep enough"),
    pytest.param(NVIDIA, 2, "Identity", depth(5), AUTHORITY, id="NVIDIA's, deeper"),
]


@pytest.mark.parametrize(("rules", "below", "name", "constraints", "use"), AUTHORITIES)
def test_an_authority(rules: Rules, below: int, name: str, constraints: Any, use: Any) -> None:
    require_authority(certificate(rules, name, constraints, use), rules, below=below)
    for changes, says in (
        ({"constraints": None}, "does not say"),
        ({"use": None}, "does not say"),
        ({"critical": False}, "no authority, or says so where it can be overlooked"),
        ({"constraints": NO_AUTHORITY}, "no authority"),
        ({"use": usage(lists=True)}, "not for this use"),
        ({"key": ec.derive_private_key(5, ec.SECP521R1()), "signer": KEYS[rules]}, "a key that is not"),
        ({"key": rsa.generate_private_key(65537, 2048), "signer": KEYS[rules]}, "a key that is not"),
    ):
        changed = {"name": name, "constraints": constraints, "use": use} | changes
        with pytest.raises(NotAuthentic, match=says):
            require_authority(certificate(rules, **changed), rules, below=below)


@pytest.mark.parametrize(
    ("rules", "below", "name", "path_lengths"),
    [
        pytest.param(AMD, 0, "SEV-Genoa", (None, 1), id="AMD's intermediate"),
        pytest.param(AMD, 1, "ARK-Genoa", (0, 1), id="AMD's root"),
        pytest.param(INTEL_PLATFORM, 0, CA, (None, 1), id="Intel's authority of platforms"),
        pytest.param(INTEL_PLATFORM, 1, ROOT, (None, 0, 2), id="Intel's root"),
        pytest.param(NVIDIA, 2, "Identity", (0, 1), id="NVIDIA's"),
    ],
)
def test_an_authority_of_another_depth(rules: Rules, below: int, name: str, path_lengths: tuple[int | None]) -> None:
    for path_length in path_lengths:
        with pytest.raises(NotAuthentic, match="depth"):
            require_authority(certificate(rules, name, depth(path_length), AUTHORITY), rules, below=below)


@pytest.mark.parametrize(
    ("rules", "below", "name", "constraints"),
    [
        pytest.param(AMD, 1, "ARK-Genoa", depth(None), id="AMD's root"),
        pytest.param(INTEL_PLATFORM, 0, CA, depth(0), id="Intel's authority of platforms"),
        pytest.param(INTEL_PLATFORM, 1, ROOT, depth(1), id="Intel's root"),
    ],
)
def test_an_authority_that_must_sign_lists(rules: Rules, below: int, name: str, constraints: Any) -> None:
    with pytest.raises(NotAuthentic, match="not for this use"):
        require_authority(certificate(rules, name, constraints, usage(certificates=True)), rules, below=below)


@pytest.mark.parametrize(
    ("below", "name"), [(0, ROOT), (0, "Intel SGX PCK Platform CA 2"), (1, CA)], ids=["root", "other", "authority"]
)
def test_an_authority_of_another_name(below: int, name: str) -> None:
    with pytest.raises(NotAuthentic, match="expected Intel"):
        require_authority(certificate(INTEL_PLATFORM, name, depth(below), AUTHORITY), INTEL_PLATFORM, below=below)


# Leaves.


@pytest.mark.parametrize(
    ("rules", "name", "silent_constraints", "silent_usage"),
    [
        (AMD, "SEV-VCEK", True, True),
        (INTEL_PLATFORM, PCK, False, False),
        (INTEL_COLLATERAL, SIGNER, False, False),
        (NVIDIA, "GH100 A01 GSP FMC LF", True, False),
    ],
    ids=["AMD", "Intel's platforms", "Intel's collateral", "NVIDIA"],
)
def test_a_leaf(rules: Rules, name: str, silent_constraints: bool, silent_usage: bool) -> None:
    require_leaf(certificate(rules, name, NO_AUTHORITY, STATEMENTS), rules)
    for constraints, use, allowed in (
        (None, STATEMENTS, silent_constraints),
        (NO_AUTHORITY, None, silent_usage),
    ):
        if allowed:
            require_leaf(certificate(rules, name, constraints, use), rules)
            continue
        with pytest.raises(NotAuthentic, match="does not say"):
            require_leaf(certificate(rules, name, constraints, use), rules)
    with pytest.raises(NotAuthentic, match="is an authority"):
        require_leaf(certificate(rules, name, depth(0), STATEMENTS), rules)
    for wrong in (
        usage(),
        usage(statements=True, certificates=True),
        usage(statements=True, lists=True),
    ):
        with pytest.raises(NotAuthentic, match="not for signing statements"):
            require_leaf(certificate(rules, name, NO_AUTHORITY, wrong), rules)


@pytest.mark.parametrize(("rules", "name"), [(INTEL_PLATFORM, SIGNER), (INTEL_COLLATERAL, PCK)], ids=["PCK", "signer"])
def test_a_leaf_of_another_name(rules: Rules, name: str) -> None:
    with pytest.raises(NotAuthentic, match="expected Intel"):
        require_leaf(certificate(rules, name, NO_AUTHORITY, STATEMENTS), rules)


# Signatures over certificates.

ALL = pytest.mark.parametrize("rules", KEYS, ids=["AMD", "Intel's platforms", "Intel's collateral", "NVIDIA"])


@ALL
def test_one_certified_the_other(rules: Rules) -> None:
    issuer = certificate(rules, "issuer")
    require_issued(certificate(rules, "child", issuer="issuer"), issuer, rules)
    with pytest.raises(NotAuthentic, match="another issuer"):
        require_issued(certificate(rules, "child", issuer="somebody else"), issuer, rules)
    forger = {AMD: keys().asvk}.get(rules) or ec.generate_private_key(KEYS[rules].curve)
    forged = certificate(rules, "child", issuer="issuer", signer=forger)
    for _ in range(2):  # a refusal is never remembered as a pass
        with pytest.raises(NotAuthentic, match="signature of issuer over child is wrong"):
            require_issued(forged, issuer, rules)


@ALL
def test_no_vendor_signs_as_another_does(rules: Rules) -> None:
    issuer = certificate(rules, "issuer")
    child = certificate(rules, "child", issuer="issuer")
    for other in KEYS:
        if other.algorithm is not rules.algorithm:
            with pytest.raises(NotAuthentic, match="another algorithm"):
                require_issued(child, issuer, other)


@ALL
def test_the_algorithm_is_stated_twice_and_once_unsigned(rules: Rules) -> None:
    """The outer statement no signature covers: as another, even one that would hold, it is refused."""
    issuer, child = certificate(rules, "issuer"), certificate(rules, "child", issuer="issuer")
    for other in KEYS:
        if other.algorithm is rules.algorithm:
            continue
        identifier = next(iter(other.algorithm.identifiers))
        for changes in ({"algorithm": identifier}, {"stated": identifier}):
            stated = replace(child, signed=replace(child.signed, **changes))
            with pytest.raises(NotAuthentic, match="another algorithm"):
                require_issued(stated, issuer, rules)


def test_an_algorithm_that_cannot_be_read() -> None:
    bundle, name = issue(), bytes.fromhex("2a864886f70d01010a")
    leaf, ask = bundle.endorsements["leaf"], load_certificate(bundle.endorsements["intermediate"], "ASK")
    assert leaf.count(name) == 2
    unknown = leaf[::-1].replace(name[::-1], bytes.fromhex("2a864886f70d01017f")[::-1], 1)[::-1]
    with pytest.raises(NotAuthentic, match="algorithm"):
        require_issued(load_certificate(unknown, "leaf"), ask, AMD)


@ALL
def test_an_issuer_with_a_key_of_another_kind(rules: Rules) -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.derive_private_key(5, ec.SECP521R1())):
        issuer = certificate(rules, "issuer", key=key, signer=KEYS[rules])
        with pytest.raises(NotAuthentic, match="a key that is not"):
            require_issued(certificate(rules, "child", issuer="issuer"), issuer, rules)


def test_a_chain_is_judged_link_by_link() -> None:
    def link(name: str, issuer: str, constraints: Any, use: Any) -> Certificate:
        return certificate(NVIDIA, name, constraints, use, issuer=issuer)

    root, middle = link("root", "root", depth(1), AUTHORITY), link("middle", "root", depth(0), AUTHORITY)
    leaf = link("leaf", "middle", None, STATEMENTS)
    require_chain((leaf, middle, root), NVIDIA)
    for broken in (
        (link("leaf", "middle", depth(0), AUTHORITY), middle, root),
        (leaf, link("middle", "root", None, STATEMENTS), root),
        (leaf, middle, link("root", "root", depth(0), AUTHORITY)),
        (leaf, root, root),
        (leaf, middle, middle),
    ):
        with pytest.raises(NotAuthentic):
            require_chain(broken, NVIDIA)


# Signatures over statements.


@pytest.mark.parametrize("algorithm", [ECDSA_P256, ECDSA_P384], ids=["P-256", "P-384"])
def test_a_signature_side_by_side_has_one_length(algorithm: Any) -> None:
    key = P256 if algorithm is ECDSA_P256 else P384
    for length in (0, 2 * algorithm.size - 1, 2 * algorithm.size + 1):
        with pytest.raises(NotAuthentic, match=f"a signature of {length} bytes"):
            algorithm.require_raw(key.public_key(), b"data", bytes(length))
    with pytest.raises(NotAuthentic, match="another signature"):
        algorithm.require_raw(key.public_key(), b"data", b"\1" * 2 * algorithm.size)


def test_a_point_that_is_not_on_the_curve() -> None:
    with pytest.raises(NotAuthentic, match="not a point of P-256"):
        ECDSA_P256.key_from_point(bytes(64))


def test_algorithms_have_names_for_people() -> None:
    assert [algorithm.name for algorithm in (ECDSA_P256, ECDSA_P384, RSA_4096_PSS)] == [
        "ECDSA P-256 with SHA-256",
        "ECDSA P-384 with SHA-384",
        "RSASSA-PSS, SHA-384 and a salt of 48 bytes",
    ]


# Lists.


@ALL
def test_a_list_of_the_issuers(rules: Rules) -> None:
    issuer = certificate(rules, "issuer", depth(0), AUTHORITY)
    require_listed_by(crl(rules, "issuer"), issuer, rules)
    with pytest.raises(NotAuthentic, match="not issuer's"):
        require_listed_by(crl(rules, "somebody else"), issuer, rules)
    for use in (None, usage(certificates=True)):
        with pytest.raises(NotAuthentic, match="not for signing lists"):
            require_listed_by(crl(rules, "issuer"), certificate(rules, "issuer", depth(0), use), rules)
    forger = {AMD: keys().asvk}.get(rules) or ec.generate_private_key(KEYS[rules].curve)
    for _ in range(2):
        with pytest.raises(NotAuthentic, match="over the list is wrong"):
            require_listed_by(crl(rules, "issuer", signer=forger), issuer, rules)
    identifier = next(iter((ECDSA_P256 if rules is not INTEL_PLATFORM else ECDSA_P384).identifiers))
    listed = crl(rules, "issuer")
    if identifier not in rules.algorithm.identifiers:
        with pytest.raises(NotAuthentic, match="the list states another algorithm"):
            require_listed_by(replace(listed, signed=replace(listed.signed, stated=identifier)), issuer, rules)


def test_a_list_holds_from_its_first_second_until_its_last() -> None:
    listed = crl(NVIDIA)
    for at in (NOW, NOW + DAY - SECOND):
        require_current(listed, at)
    for at in (NOW - SECOND, NOW + DAY):
        with pytest.raises(NotAuthentic, match="holds from"):
            require_current(listed, at)
    with pytest.raises(NotAuthentic, match="until when"):
        require_current(crl(NVIDIA, until=False), NOW)


def test_a_new_list_is_asked_about_an_old_certificate() -> None:
    """What is remembered never includes revocation."""
    leaf = load_certificate(issue().endorsements["leaf"], "leaf")
    template = simulated().crl_template(now=NOW)
    require_unrevoked(load_crl(template.sign("ARK-Genoa", keys().ark)), leaf)
    with pytest.raises(NotAuthentic, match="revoked"):
        require_unrevoked(load_crl(replace(template, revoked=(1,)).sign("ARK-Genoa", keys().ark)), leaf)


def test_one_of_several_that_is_revoked() -> None:
    one, other = certificate(NVIDIA), replace(certificate(NVIDIA), serial_number=8)
    require_unrevoked(crl(NVIDIA, "one", 9), one, other)
    for number in (7, 8):
        with pytest.raises(NotAuthentic, match=f"0x{number:x}, is revoked"):
            require_unrevoked(crl(NVIDIA, "one", number), one, other)


# Time and roots.


def test_valid_from_the_first_to_the_last_second() -> None:
    one = certificate(NVIDIA)
    later = replace(one, not_before=NOW + SECOND)
    for at in (NOW, NOW + DAY):
        require_valid(at, one)
    for at in (NOW - SECOND, NOW + DAY + SECOND):
        with pytest.raises(NotAuthentic, match="valid from"):
            require_valid(at, one)
    with pytest.raises(NotAuthentic, match="valid from"):
        require_valid(NOW, one, later)


def test_only_its_digest_makes_a_root() -> None:
    one, namesake = certificate(NVIDIA), certificate(NVIDIA)
    pinned = Root(name="mine", sha256=one.digest, vendor="test")
    assert require_pinned(one, (*AMD_ROOTS, pinned)) is pinned
    require_same(one, one)
    assert one.digest != namesake.digest  # signed anew
    with pytest.raises(NotAuthentic, match=f"^one {namesake.digest}"):
        require_pinned(namesake, (*AMD_ROOTS, pinned))
    with pytest.raises(NotAuthentic, match="another one"):
        require_same(namesake, one)
    assert names_of((pinned, AMD_ROOTS[0])) == f"mine {one.digest[:19]}… or ARK-Milan {AMD_ROOTS[0].sha256[:19]}…"


def test_amds_trailer_may_be_spelt_or_left_out() -> None:
    """Both are among AMD's certificates, and mean the same."""
    leaf = load_certificate(issue().endorsements["leaf"], "leaf")
    ask = load_certificate(issue().endorsements["intermediate"], "ASK")
    require_issued(leaf, ask, AMD)
    assert len(AMD.algorithm.identifiers) == 2
    assert leaf.signed.algorithm in AMD.algorithm.identifiers
