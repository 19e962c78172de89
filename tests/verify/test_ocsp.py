"""Stapled answers about revocation: each requirement of RFC 6960 that makes one count has an answer that lacks it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from hermetic.errors import HermeticError, Malformed, NotAuthentic
from hermetic.evidence._der import OCTETS, SEQUENCE, Node, context, read_der
from hermetic.evidence.x509 import Certificate, load_certificate
from hermetic.sources.simulator.der import tlv
from hermetic.verify.ocsp import is_about, load_ocsp, require_good
from nvidia_forge import NOW, Entry, Template, answer, certify, device_chain, responder
from nvidia_support import flipped

SUBJECT, ISSUER, OTHER = device_chain()[1:4]
SECOND = timedelta(seconds=1)
DELEGATE = responder(ISSUER)

pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")


def loaded(entry: Entry) -> Certificate:
    return load_certificate(entry.der, "test")


def judge(der: bytes, nonce: bytes | None = None, now: Any = NOW) -> None:
    require_good(load_ocsp(der), loaded(SUBJECT), loaded(ISSUER), now, nonce=nonce)


def refused(der: bytes, **asked: Any) -> str:
    with pytest.raises(NotAuthentic) as caught:
        judge(der, **asked)
    return caught.value.message


@pytest.mark.parametrize("naming", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384()], ids=lambda found: found.name)  # noqa: S303
@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("delegated", [True, False])
def test_a_good_answer(naming: hashes.HashAlgorithm, by_name: bool, delegated: bool) -> None:
    delegate = responder(ISSUER) if delegated else None
    judge(answer(SUBJECT, ISSUER, naming=naming, by_name=by_name, responder=delegate))


def test_it_holds_from_the_first_second_until_the_last() -> None:
    first, last = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    der = answer(SUBJECT, ISSUER, first=first, last=last)
    for now in (first, last - SECOND):
        judge(der, now=now)
    for now in (first - SECOND, last):
        assert "holds from" in refused(der, now=now)
    assert "until when" in refused(answer(SUBJECT, ISSUER, last=None))


@pytest.mark.parametrize(
    ("status", "says"),
    [(ocsp.OCSPCertStatus.REVOKED, "revoked (certificateHold)"), (ocsp.OCSPCertStatus.UNKNOWN, "does not know")],
)
def test_an_answer_that_is_not_good(status: ocsp.OCSPCertStatus, says: str) -> None:
    assert says in refused(answer(SUBJECT, ISSUER, status=status))


def test_an_answer_about_somebody_else() -> None:
    """Of another serial number; of another issuer with that number."""
    elsewhere = answer(ISSUER, OTHER)
    assert not is_about(load_ocsp(elsewhere), loaded(SUBJECT), loaded(ISSUER))
    assert "not about" in refused(elsewhere)
    assert "not about" in refused(answer(DELEGATE, ISSUER))  # another one of the same issuer's
    assert "not about" in refused(answer(SUBJECT, OTHER, responder=ISSUER, attached=()))


def namesake(entry: Entry) -> Entry:
    """Another key under the same name."""
    twin = certify(Template(name=common_name(entry), curve="secp256r1"), None)
    assert twin.certificate.subject == entry.certificate.subject
    return twin


def common_name(entry: Entry) -> str:
    return str(entry.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_an_issuer_of_the_same_name_with_another_key() -> None:
    assert "not about" in refused(answer(SUBJECT, namesake(ISSUER)))


def test_the_nonce_that_was_asked() -> None:
    der = answer(SUBJECT, ISSUER, nonce=b"n" * 16)
    judge(der, nonce=b"n" * 16)
    judge(der)
    assert "another nonce" in refused(der, nonce=b"m" * 16)
    assert "another nonce" in refused(answer(SUBJECT, ISSUER), nonce=b"n" * 16)


def test_an_answer_that_another_key_signed() -> None:
    """It says that the issuer, or the delegate, signed; a namesake of theirs did."""
    by_namesake = answer(SUBJECT, ISSUER, responder=namesake(ISSUER), attached=(), by_name=True)
    assert "signature over the answer" in refused(by_namesake)
    delegate = responder(ISSUER)
    by_namesake = answer(SUBJECT, ISSUER, responder=namesake(delegate), attached=(delegate,), by_name=True)
    assert "signature over the answer" in refused(by_namesake)


def test_a_responder_that_the_issuer_did_not_name() -> None:
    assert "not named by" in refused(answer(SUBJECT, ISSUER, responder=responder(OTHER)))
    impostor = replace(ISSUER, key=ec.generate_private_key(ec.SECP384R1()))
    assert "not named by" in refused(answer(SUBJECT, ISSUER, responder=responder(impostor)))


@pytest.mark.parametrize("extended", [(), (ExtendedKeyUsageOID.CLIENT_AUTH,)])
def test_a_responder_that_was_named_for_something_else(extended: tuple[Any, ...]) -> None:
    """A device's own certificate under the same issuer must not answer for its neighbours."""
    assert "not named for" in refused(answer(SUBJECT, ISSUER, responder=responder(ISSUER, extended=extended)))


def test_a_responder_with_a_critical_extension_that_nobody_understands() -> None:
    delegate = responder(ISSUER, critical_extensions=(("1.2.3.4", b"\x05\x00"),))
    with pytest.raises(Malformed, match="not understood"):
        load_ocsp(answer(SUBJECT, ISSUER, responder=delegate))


def test_a_responder_with_a_key_of_another_kind() -> None:
    key = rsa.generate_private_key(65537, 2048)
    delegate = responder(ISSUER)
    builder = (
        x509.CertificateBuilder()
        .subject_name(delegate.certificate.subject)
        .issuer_name(ISSUER.certificate.subject)
        .public_key(key.public_key())
        .serial_number(901)
        .not_valid_before(NOW - SECOND)
        .not_valid_after(NOW + SECOND)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), False)
    )
    certificate = builder.sign(ISSUER.key, hashes.SHA384())
    other: Any = Entry(certificate=certificate, key=key)  # type: ignore[arg-type]
    assert "not signed with ECDSA" in refused(answer(SUBJECT, ISSUER, responder=other, by_name=True))


@pytest.mark.parametrize("change", [{"last": NOW - SECOND}, {"first": NOW + SECOND}], ids=["past", "to come"])
def test_a_responder_of_another_time(change: dict[str, Any]) -> None:
    assert "is valid from" in refused(answer(SUBJECT, ISSUER, responder=responder(ISSUER, **change)))


@pytest.mark.parametrize("by_name", [True, False])
def test_a_responder_that_did_not_come_along(by_name: bool) -> None:
    der = answer(SUBJECT, ISSUER, responder=responder(ISSUER), attached=(), by_name=by_name)
    assert "certificate of who signed" in refused(der)


def answer_with(extension: bool | None = None, hashed: hashes.HashAlgorithm | None = None) -> bytes:
    """An answer with an extension that nobody knows, critical or not; or signed with another hash."""
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=SUBJECT.certificate,
        issuer=ISSUER.certificate,
        algorithm=hashes.SHA256(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=NOW - SECOND,
        next_update=NOW + SECOND,
        revocation_time=None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ISSUER.certificate)
    if extension is not None:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
        builder = builder.add_extension(unknown, extension)
    return builder.sign(ISSUER.key, hashed or hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def test_an_extension_that_nobody_understands() -> None:
    judge(answer_with(extension=False))
    with pytest.raises(Malformed, match="without critical"):
        load_ocsp(answer_with(extension=True))


def test_an_answer_that_is_signed_with_a_lesser_hash() -> None:
    for hashed in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        judge(answer_with(hashed=hashed))
    assert "at least 256 bits" in refused(answer_with(hashed=hashes.SHA224()))


def encoded(nodes: list[Node]) -> list[bytes]:
    return [node.encoded for node in nodes]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_an_answer_is_about_one_certificate(times: int) -> None:
    der = answer(SUBJECT, ISSUER)
    status, wrapped = read_der(der).children()
    kind, basic = wrapped.children(context(0))[0].children()
    data, *signature = read_der(basic.content).children()
    *head, singles = data.children()
    again = tlv(SEQUENCE, singles.content * times)
    changed = tlv(SEQUENCE, tlv(SEQUENCE, *encoded(head), again), *encoded(signature))
    whole = tlv(SEQUENCE, status.encoded, tlv(context(0), tlv(SEQUENCE, kind.encoded, tlv(OCTETS, changed))))
    if times == 1:
        return judge(whole)
    with pytest.raises(Malformed):
        load_ocsp(whole)


@pytest.mark.parametrize("status", [ocsp.OCSPResponseStatus.TRY_LATER, ocsp.OCSPResponseStatus.UNAUTHORIZED])
def test_a_responder_that_gave_no_answer(status: ocsp.OCSPResponseStatus) -> None:
    der = ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(serialization.Encoding.DER)
    with pytest.raises(Malformed, match=status.name.lower().replace("_", " ")):
        load_ocsp(der)


def test_every_bit_of_an_answer() -> None:
    der = answer(SUBJECT, ISSUER, nonce=b"n" * 16)
    unnoticed = []
    for bit in range(8 * len(der)):
        try:
            judge(flipped(der, bit), nonce=b"n" * 16)
        except (Malformed, NotAuthentic):
            continue
        unnoticed.append(bit)
    assert unnoticed == []


def test_a_signature_has_one_spelling() -> None:
    """Where its last bits are zero, the count of bits to ignore could be another, and no signature covers it."""
    der = answer(SUBJECT, ISSUER)
    while der[-1] & 1:
        der = answer(SUBJECT, ISSUER)
    signature = load_ocsp(der).parsed.signature
    assert der.endswith(b"\0" + signature)
    at = len(der) - len(signature) - 1
    with pytest.raises(Malformed):
        load_ocsp(der[:at] + b"\x01" + der[at + 1 :])


@given(st.binary(max_size=300))
def test_noise_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        load_ocsp(data)


# Parts that the library reads only when they are asked for


def named(tag: int, content: bytes) -> bytes:
    """A good answer whose responder has this for its common name."""
    name = common_name(DELEGATE).encode()
    whole = answer(SUBJECT, ISSUER, responder=DELEGATE, attached=(), by_name=True)
    changed = whole.replace(
        bytes((0x0C, len(name))) + name, bytes((tag, len(name))) + content.ljust(len(name), b"\x01")
    )
    assert changed != whole
    return changed


@pytest.mark.parametrize(
    ("tag", "content"),
    [(0x0C, b"\xff"), (0x02, b"\x01"), (0x03, b"\x00")],
    ids=["text that is no UTF-8", "a number", "bits"],
)
def test_a_responder_whose_name_cannot_be_read(tag: int, content: bytes) -> None:
    assert "come with the certificate of who signed" in refused(named(0x0C, b"x"))
    with pytest.raises(Malformed, match="not an answer that can be read"):
        load_ocsp(named(tag, content))


WHOLE = (
    answer(SUBJECT, ISSUER),
    answer(SUBJECT, ISSUER, responder=DELEGATE, by_name=True),
    answer(SUBJECT, ISSUER, status=ocsp.OCSPCertStatus.REVOKED, nonce=b"n" * 16),
)


@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=1500)
def test_whatever_is_changed_it_counts_or_is_refused(der: bytes, changes: list[tuple[int, int]]) -> None:
    """Bytes written over others: nothing but a refusal of ours leaves either function."""
    mutant = bytearray(der)
    for at, byte in changes:
        mutant[at % len(der)] = byte
    with suppress(HermeticError):
        judge(bytes(mutant))
