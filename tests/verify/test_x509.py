"""Certificates and lists that are read strictly, whoever signed them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from hermetic.errors import Malformed, NotAuthentic
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify.x509 import (
    Certificate,
    load_certificate,
    load_crl,
    require_authority,
    require_issued,
    require_unrevoked,
)
from snp_support import NOW, issue, keys, simulated

RSASSA_PSS = bytes.fromhex("2a864886f70d01010a")


def certificate(*names: str, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None) -> bytes:
    """A self-signed certificate with these common names."""
    signer = ec.derive_private_key(5, ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in names])
    builder = x509.CertificateBuilder(name, name, (key or signer).public_key(), 1, NOW, NOW + timedelta(days=1))
    return builder.sign(signer, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def test_a_certificate_that_is_fine() -> None:
    assert load_certificate(certificate("SEV-VCEK"), "leaf").common_name == "SEV-VCEK"


@pytest.mark.parametrize(
    "names", [(), ("SEV-VCEK", "SEV-VLEK"), ("SEV-\x1b[2JVCEK",)], ids=["none", "two", "one that clears a terminal"]
)
def test_exactly_one_common_name(names: tuple[str, ...]) -> None:
    with pytest.raises(Malformed, match="exactly one common name"):
        load_certificate(certificate(*names), "leaf")


def test_a_key_of_a_kind_that_amd_does_not_use() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(Malformed, match="RSA or an elliptic-curve key"):
        load_certificate(certificate("SEV-VCEK", key=key), "leaf")


def authority(
    constraints: x509.BasicConstraints | None, usage: x509.KeyUsage | None, *, critical: bool = True
) -> Certificate:
    """An RSA-4096 certificate with these two extensions."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SEV-Genoa")])
    key = keys().ask.public_key()
    builder = x509.CertificateBuilder(name, name, key, 1, NOW, NOW + timedelta(days=1))
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=critical)
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    der = builder.sign(keys().ask, hashes.SHA384()).public_bytes(serialization.Encoding.DER)
    return load_certificate(der, "intermediate")


def usage(*, certificates: bool = True, lists: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(True, False, False, False, False, certificates, lists, False, False)


DEPTH_0 = x509.BasicConstraints(ca=True, path_length=0)


def test_an_authority() -> None:
    require_authority(authority(DEPTH_0, usage()), path_length=0, signs_crls=True)
    require_authority(authority(DEPTH_0, usage(lists=False)), path_length=0, signs_crls=False)
    require_authority(authority(x509.BasicConstraints(True, None), usage()), path_length=None, signs_crls=True)


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(lambda: authority(None, usage()), id="no constraints"),
        pytest.param(lambda: authority(DEPTH_0, None), id="no usage"),
        pytest.param(lambda: authority(DEPTH_0, usage(), critical=False), id="constraints that may be ignored"),
        pytest.param(lambda: authority(x509.BasicConstraints(True, 1), usage()), id="another depth"),
        pytest.param(lambda: authority(DEPTH_0, usage(certificates=False)), id="signs no certificates"),
        pytest.param(lambda: authority(DEPTH_0, usage(lists=False)), id="signs no lists"),
    ],
)
def test_no_authority(certificate: Callable[[], Certificate]) -> None:
    with pytest.raises(NotAuthentic):
        require_authority(certificate(), path_length=0, signs_crls=True)


def test_a_leaf_that_says_it_is_no_authority() -> None:
    leaf = authority(x509.BasicConstraints(ca=False, path_length=None), usage())
    with pytest.raises(NotAuthentic):
        require_authority(leaf, path_length=None, signs_crls=True)


def test_a_list_with_an_entry_that_speaks_of_another_issuer() -> None:
    """An indirect list: what it says of a serial number is not about our issuer's certificates."""
    other = x509.CertificateIssuer([x509.DNSName("other.example")])
    for critical in (False, True):
        entry = x509.RevokedCertificateBuilder(7, NOW).add_extension(other, critical=critical).build()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ARK-Genoa")])
        builder = x509.CertificateRevocationListBuilder(
            name, NOW, NOW + timedelta(days=1), revoked_certificates=[entry]
        )
        der = builder.sign(keys().ark, hashes.SHA384()).public_bytes(serialization.Encoding.DER)
        if critical:
            with pytest.raises(Malformed):
                load_crl(der)
        else:
            load_crl(der)


@pytest.mark.parametrize("name", ["leaf", "crl"])
def test_a_signature_has_one_spelling(name: str) -> None:
    """Its last bit is zero, and the count of bits to ignore says to ignore it: the same number, other bytes."""
    der = bytearray(issue().endorsements[name])
    load: Callable[[bytes], object] = load_crl if name == "crl" else (lambda data: load_certificate(data, "leaf"))
    der[-1] &= 0xFE
    load(bytes(der))
    der[-513] = 1
    with pytest.raises(Malformed):
        load(bytes(der))


def test_an_algorithm_that_cannot_be_read() -> None:
    bundle = issue()
    leaf, ask = bundle.endorsements["leaf"], load_certificate(bundle.endorsements["intermediate"], "ASK")
    assert leaf.count(RSASSA_PSS) == 2
    unknown = leaf[::-1].replace(RSASSA_PSS[::-1], bytes.fromhex("2a864886f70d01017f")[::-1], 1)[::-1]
    with pytest.raises(NotAuthentic, match="algorithm"):
        require_issued(load_certificate(unknown, "leaf"), ask)


def test_a_refusal_is_not_remembered_as_a_pass() -> None:
    """Verified signatures are remembered; asking twice about a wrong one is refused twice."""
    template = simulated().leaf_template(SnpPlatform(), now=NOW)
    ask = load_certificate(issue().endorsements["intermediate"], "ASK")
    forged = load_certificate(template.sign("SEV-Genoa", keys().asvk), "leaf")
    for _ in range(2):
        with pytest.raises(NotAuthentic):
            require_issued(forged, ask)


def test_a_new_list_is_asked_about_an_old_certificate() -> None:
    """What is remembered never includes revocation."""
    leaf = load_certificate(issue().endorsements["leaf"], "leaf")
    template = simulated().crl_template(now=NOW)
    require_unrevoked(load_crl(template.sign("ARK-Genoa", keys().ark)), leaf)
    with pytest.raises(NotAuthentic, match="revoked"):
        require_unrevoked(load_crl(replace(template, revoked=(1,)).sign("ARK-Genoa", keys().ark)), leaf)
