"""Certificates and lists are read strictly, whoever signed them, and as the reader of a general library does."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence.x509 import Certificate, RevocationList, extended_uses, load_certificate, load_crl, name_in_words
from nvidia_forge import device_chain, revocation_list
from snp_support import NOW, RECORDED, amd_crl, issue
from vectors import needs_vectors

KEY = ec.derive_private_key(5, ec.SECP384R1())
DAY = timedelta(days=1)
UNREADABLE = (ValueError, TypeError, x509.DuplicateExtension, x509.InvalidVersion)

# AMD's leaves have the serial number zero, and a flipped bit makes others; the library that is compared with warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]


def name_of(*texts: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text) for text in texts])


def certificate(
    *names: str,
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = KEY,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    serial: int = 1,
) -> bytes:
    """A certificate with these common names, signed by KEY."""
    name = name_of(*names)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, NOW, NOW + DAY)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def crl(
    *entries: x509.RevokedCertificate,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> bytes:
    builder = x509.CertificateRevocationListBuilder(
        name_of("an issuer"), NOW, NOW + DAY, revoked_certificates=list(entries)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(KEY, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def revoked(serial: int, *extensions: tuple[x509.ExtensionType, bool]) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial, NOW)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.build()


def unknown(critical: bool) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), critical


def respell(der: bytes, old: bytes, new: bytes, count: int = 1) -> bytes:
    """``der`` with ``old`` replaced, which must be there that often; lengths stay, so both are equally long."""
    assert len(old) == len(new)
    assert der.count(old) == count
    return der.replace(old, new)


# What can be read.


def recorded_certificates() -> Iterator[tuple[str, bytes]]:
    """Every certificate of the vendors that a recorded file holds, in whichever wrapping."""
    pem = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
    for folder in ("roots", "sev-snp", "tdx", "sgx", "nvidia"):
        for path in sorted((RECORDED / folder).rglob("*")):
            data = path.read_bytes().replace(b"\\n", b"\n") if path.is_file() else b""
            blocks = [data] if path.suffix == ".der" else [block.group() for block in pem.finditer(data)]
            for block in blocks:
                load = x509.load_der_x509_certificate if path.suffix == ".der" else x509.load_pem_x509_certificate
                try:
                    yield str(path), load(block).public_bytes(serialization.Encoding.DER)
                except ValueError:
                    continue  # a list, or damaged


def described(read: Certificate) -> dict[str, Any]:
    constraints, usage = read.constraints, read.usage
    return {
        "serial": read.serial_number,
        "issuer": read.issuer,
        "subject": read.subject,
        "dates": (read.not_before, read.not_after),
        "name": [read.common_name],
        "key": read.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "constraints": constraints and (constraints.authority, constraints.path_length, constraints.critical),
        "usage": usage and (usage.statements, usage.certificates, usage.lists),
        "extensions": set(read.extensions),
        "whole": read.der,
        "signed": (read.signed.data, read.signed.signature),
    }


def described_by_another(der: bytes) -> dict[str, Any]:
    """The same of a general library's reading.  Raises one of UNREADABLE."""
    read = x509.load_der_x509_certificate(der)
    extensions = {entry.oid.dotted_string: entry for entry in read.extensions}
    constraints, usage = extensions.get("2.5.29.19"), extensions.get("2.5.29.15")
    return {
        "serial": read.serial_number,
        "issuer": read.issuer.public_bytes(),
        "subject": read.subject.public_bytes(),
        "dates": (read.not_valid_before_utc, read.not_valid_after_utc),
        "name": [entry.value for entry in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)],
        "key": read.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "constraints": constraints and (constraints.value.ca, constraints.value.path_length, constraints.critical),
        "usage": usage and (usage.value.digital_signature, usage.value.key_cert_sign, usage.value.crl_sign),
        "extensions": set(extensions),
        "whole": der,
        "signed": (read.tbs_certificate_bytes, read.signature),
    }


@needs_vectors
def test_every_recorded_certificate_is_read_as_another_library_reads_it() -> None:
    seen = set()
    for path, der in recorded_certificates():
        try:
            theirs = described_by_another(der)
        except UNREADABLE:
            with pytest.raises(Malformed):
                load_certificate(der, path)
            continue
        ours = load_certificate(der, path)
        assert described(ours) == theirs, path
        assert name_in_words(ours.subject) == x509.load_der_x509_certificate(der).subject.rfc4514_string()
        seen.add(der)
    assert len(seen) > 80


@needs_vectors
def test_every_recorded_list_is_read_as_another_library_reads_it() -> None:
    text = (Path(__file__).parents[1] / "verify" / "expect_intel.toml").read_text(encoding="utf-8")
    entries = [entry for entry in tomllib.loads(text)["collateral"] if entry["reader"] == "crl"]
    lists = [(RECORDED / entry["file"]).read_bytes() for entry in entries]
    lists += [der for product in ("Milan", "Genoa") if (der := amd_crl(product)) is not None]
    for der in lists:
        ours, theirs = load_crl(der), x509.load_der_x509_crl(der)
        assert ours.revoked == {entry.serial_number for entry in theirs}
        assert (ours.this_update, ours.next_update) == (theirs.last_update_utc, theirs.next_update_utc)
        assert (ours.issuer, ours.signed.data) == (theirs.issuer.public_bytes(), theirs.tbs_certlist_bytes)
        assert ours.der == der
    assert len(lists) > 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('a,b+c"d\\e<f>g;h', r"CN=a\,b\+c\"d\\e\<f\>g\;h"),
        ("#a # b ", r"CN=\#a # b\ "),
        (" a", r"CN=\ a"),
        ("a\x1b[2Jé\u202e", r"CN=a\1b[2Jé\e2\80\ae"),
    ],
    ids=["what separates", "a mark and a space", "a space", "what a terminal obeys"],
)
def test_a_name_in_words(text: str, words: str) -> None:
    assert name_in_words(name_of(text).public_bytes()) == words


def test_the_last_part_of_a_name_comes_first() -> None:
    one, two, three = (
        x509.NameAttribute(oid, text)
        for oid, text in (
            (NameOID.COUNTRY_NAME, "US"),
            (NameOID.ORGANIZATION_NAME, "A"),
            (NameOID.SERIAL_NUMBER, "7"),
        )
    )
    name = x509.Name([x509.RelativeDistinguishedName([one]), x509.RelativeDistinguishedName([two, three])])
    # The two of one group are a set, in the order of its encoding.
    assert name_in_words(name.public_bytes()) in ("O=A+2.5.4.5=7,C=US", "2.5.4.5=7+O=A,C=US")


LEAF = issue().endorsements["leaf"]
SAMPLES = (LEAF, *(entry.der for entry in device_chain()))


@given(st.sampled_from(SAMPLES), st.integers(0, 8 * 700), st.booleans())
@example(LEAF, 0, False)
def test_what_is_read_of_changed_bytes_is_what_another_library_reads(der: bytes, bit: int, cut: bool) -> None:
    """Anywhere, the signed part included.

    The other one also reads what this one leaves to later (the algorithms) or to nobody (extensions of no interest).
    """
    bit %= 8 * len(der)
    changed = bytearray(der)
    changed[bit // 8] ^= 1 << bit % 8
    data = bytes(der[: bit // 8] if cut else changed)
    try:
        ours = described(load_certificate(data, "changed"))
    except Malformed:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = described_by_another(data)
        except UNREADABLE:
            return
    assert ours == theirs


@given(st.binary(max_size=200))
def test_noise_is_malformed(data: bytes) -> None:
    for load in (lambda: load_certificate(data, "noise"), lambda: load_crl(data)):
        with pytest.raises(Malformed):
            load()


# Of the simulator's leaf, after its version, and of AMD's.
_SERIAL_NUMBERS = (bytes.fromhex("020102 020101"), bytes.fromhex("020102 020100"))


def test_amds_serial_number_is_zero_and_nothing_is_said_about_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_certificate(respell(LEAF, *_SERIAL_NUMBERS), "leaf").serial_number == 0


# What a certificate must not be.


@pytest.mark.parametrize(
    "names", [(), ("SEV-VCEK", "SEV-VLEK"), ("SEV-\x1b[2JVCEK",)], ids=["none", "two", "one that clears a terminal"]
)
def test_exactly_one_common_name(names: tuple[str, ...]) -> None:
    assert load_certificate(certificate("SEV-VCEK"), "leaf").common_name == "SEV-VCEK"
    with pytest.raises(Malformed, match="exactly one common name"):
        load_certificate(certificate(*names), "leaf")


def test_a_key_of_a_kind_that_nobody_uses() -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(Malformed, match="RSA or an elliptic-curve key"):
        load_certificate(certificate("SEV-VCEK", key=key), "leaf")


def test_a_key_that_is_no_point() -> None:
    der = certificate("one")
    point = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    with pytest.raises(Malformed, match="key that cannot be read"):
        load_certificate(respell(der, point, b"\x04" + bytes(96)), "leaf")


def test_a_critical_extension_must_be_understood() -> None:
    assert "1.2.3.4" in load_certificate(certificate("one", extensions=(unknown(False),)), "leaf").extensions
    with pytest.raises(Malformed, match=r"not understood, 1\.2\.3\.4"):
        load_certificate(certificate("one", extensions=(unknown(True),)), "leaf")


CERTIFICATE = certificate(
    "one",
    serial=0x1234,
    extensions=(
        (x509.BasicConstraints(True, 3), True),
        (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False),
        (x509.SubjectAlternativeName([x509.DNSName("a.example")]), False),
    ),
)
_OID = "0603551d"  # of an extension: 2.5.29, and what follows


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("a003020102", "a003020101", "another version", id="of version 2"),
        pytest.param("a003020102", "a103020102", "another type", id="whose version is something else"),
        pytest.param("02021234", "02028234", "negative serial", id="of a negative number"),
        pytest.param("02021234", "02020034", "shortest form", id="of a number in a longer form"),
        pytest.param("0101ff020103", "010100020103", "where silence says it", id="of an authority that says no"),
        pytest.param("0101ff020103", "0101ff0201fd", "negative depth", id="of a negative depth"),
        pytest.param(f"{_OID}130101ff", f"{_OID}13010100", "not critical", id="with an extension that is not critical"),
        pytest.param(f"{_OID}11", f"{_OID}25", "twice", id="with an extension twice"),
        pytest.param(f"{_OID}2504", f"{_OID}2503", "another type", id="with an extension that is no octets"),
        pytest.param("03020186", "03020286", "ignored", id="whose uses are spelt otherwise"),
        pytest.param("0c036f6e65", "0c036fff65", "text", id="whose issuer or subject is no text"),
    ],
)
def test_what_is_no_certificate(old: str, new: str, says: str) -> None:
    """Each is of the same length as one that can be read, and differs in what the case names."""
    load_certificate(CERTIFICATE, "fine")
    text = CERTIFICATE.hex()
    assert old in text
    with pytest.raises(Malformed, match=says):
        load_certificate(bytes.fromhex(text.replace(old, new)), "leaf")


def test_an_issuer_whose_name_is_no_text() -> None:
    at = CERTIFICATE.index(b"\x0c\x03one") + 3
    with pytest.raises(Malformed, match="text"):
        load_certificate(CERTIFICATE[:at] + b"\xff" + CERTIFICATE[at + 1 :], "leaf")


def test_another_number_of_members() -> None:
    validity = CERTIFICATE.index(b"\x17\x0d") - 2
    one = (
        CERTIFICATE[: validity + 1] + b"\x0f" + CERTIFICATE[validity + 2 :]
    )  # it ends after the first of the two times
    more = b"\x30\x82" + (len(CERTIFICATE) - 2).to_bytes(2) + CERTIFICATE[4:] + b"\x05\x00"
    for data in (one, more, b"\x30\x00", b"\x30\x02\x30\x00"):
        with pytest.raises(Malformed, match="another number"):
            load_certificate(data, "leaf")


@pytest.mark.parametrize("version", ["a000", "a006020102020102"], ids=["none", "two"])
def test_exactly_one_version(version: str) -> None:
    length = int.from_bytes(CERTIFICATE[6:8])  # of the signed part, which a head of four bytes precedes
    body, rest = CERTIFICATE[8 : 8 + length], CERTIFICATE[8 + length :]
    body = bytes.fromhex(version) + body.removeprefix(bytes.fromhex("a003020102"))
    whole = b"\x30\x82" + len(body).to_bytes(2) + body + rest
    with pytest.raises(Malformed, match="another version"):
        load_certificate(b"\x30\x82" + len(whole).to_bytes(2) + whole, "leaf")


def test_what_the_key_is_for() -> None:
    assert extended_uses(load_certificate(CERTIFICATE, "fine")) == ("1.3.6.1.5.5.7.3.9",)
    assert extended_uses(load_certificate(certificate("one"), "silent")) == ()


# What a list must not be.


def test_a_list_names_numbers() -> None:
    reason = (x509.CRLReason(x509.ReasonFlags.superseded), False)
    read = load_crl(crl(revoked(7), revoked(0x20001, reason), extensions=((x509.CRLNumber(4), False),)))
    assert (set(read.revoked), read.issuer_name) == ({7, 0x20001}, "an issuer")
    assert load_crl(crl()).revoked == frozenset()


def test_a_list_with_an_entry_that_speaks_of_another_issuer() -> None:
    """An indirect list: what it says of a serial number is not about our issuer's certificates."""
    other = x509.CertificateIssuer([x509.DNSName("other.example")])
    assert load_crl(crl(revoked(7, (other, False)))).revoked == {7}
    with pytest.raises(Malformed, match="entry"):
        load_crl(crl(revoked(7, (other, True))))


@pytest.mark.parametrize("critical", [False, True])
def test_a_list_with_an_extension_that_nobody_understands(critical: bool) -> None:
    """It may be one of several that make the whole, or say only what changed."""
    with pytest.raises(Malformed, match="may not list all"):
        load_crl(crl(extensions=(unknown(critical),)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("020101300a", "020100300a", id="of version 1"),
        pytest.param("a00e300c", "a10e300c", id="whose extensions are something else"),
    ],
)
def test_what_is_no_list(old: str, new: str) -> None:
    fine = crl(extensions=((x509.CRLNumber(4), False),))
    load_crl(fine)
    text = fine.hex()
    assert old in text
    with pytest.raises(Malformed):
        load_crl(bytes.fromhex(text.replace(old, new)))


def test_two_rows_of_extensions() -> None:
    der = crl(extensions=((x509.CRLNumber(4), False),))
    row = bytes.fromhex("a00e300c300a0603551d140403020104")
    body = x509.load_der_x509_crl(der).tbs_certlist_bytes
    assert body.endswith(row)
    assert body[1] == 0x81 or body[1] < 0x80 - len(row)
    twice = body[:1] + bytes((*body[1:2], body[2] + len(row))) + body[3:] + row
    if body[1] < 0x80:
        twice = body[:1] + bytes((body[1] + len(row),)) + body[2:] + row
    whole = der[der.index(body) + len(body) :]
    with pytest.raises(Malformed, match="one row"):
        load_crl(b"\x30\x81" + bytes((len(twice) + len(whole),)) + twice + whole)


# One spelling.


@pytest.mark.parametrize("name", ["leaf", "crl"])
def test_a_signature_has_one_spelling(name: str) -> None:
    """Its last bit is zero, and the count of bits to ignore says to ignore it: the same number, other bytes."""
    der = bytearray(issue().endorsements[name])
    load: Callable[[bytes], Certificate | RevocationList] = (
        load_crl if name == "crl" else lambda data: load_certificate(data, "leaf")
    )
    der[-1] &= 0xFE
    load(bytes(der))
    der[-513] = 1
    with pytest.raises(Malformed):
        load(bytes(der))


@pytest.mark.parametrize("der", [LEAF, revocation_list(device_chain()[2])], ids=["certificate", "list"])
def test_nothing_follows(der: bytes) -> None:
    for data in (der + b"\0", der[:-1]):
        for load in (lambda data=data: load_certificate(data, "leaf"), lambda data=data: load_crl(data)):
            with pytest.raises(Malformed):
                load()
