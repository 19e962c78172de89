"""Whole attested handshakes on evidence that AMD's own chips signed.

Azure published attestations of SEV-SNP machines together with the private keys that they vouch for.  So a test can be
both sides: the relying party, which believes AMD and nobody else, and the workload, which holds the key.

The evidence binds a public key, or a document that names one, by SHA-256 and zeros.  That is not our own binding
(protocols.md §3): it knows no purpose, nonce or launch, so :class:`hermetic.identity.Binding` cannot be made of it and
no policy of ours accepts it.  All other parts are the product's: the verifier with AMD's root and revocation list, the
keyset, the strict profile, sealed files.  A nonce is brought in by the attested key, which signs it.
"""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from hermetic.channel import XWingPrivateKey, XWingPublicKey, strict
from hermetic.errors import ChannelBroken, Malformed, NotAuthentic
from hermetic.evidence import SEV_SNP, EvidenceBundle, Product
from hermetic.identity import STRICT, Keyset, PublicKey
from hermetic.seal import age
from hermetic.verify import AMD_ROOTS, Outcome, SnpClaims, verify
from hermetic.wire import sha256, transcript
from snp_support import RECORDED, amd_crl
from vectors import needs_vectors

# AMD gives its leaves the serial number zero, of which the library below warns on each load.
pytestmark = [needs_vectors, pytest.mark.filterwarnings("ignore:Parsed a serial number")]

AT = datetime(2025, 6, 1, tzinfo=UTC)
NONCE = bytes(range(32))
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=b"key-bound")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_HCL_REPORT, _HCL_DATA = slice(32, 1216), 1236

# What is in azure/key-bound, and under which name the same report lies in sev-snp.
CONTAINERS = {"encryption": "e8035a", "signing": "52cb1f"}
MACHINES = {"encryption": "345fce", "signing": "bd24fa"}


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published attestation.  ``data`` is what the report binds; it is, or names, ``public_key`` (PEM)."""

    evidence: EvidenceBundle
    data: bytes
    public_key: bytes
    private_key: Any

    def report_data(self) -> bytes:
        return sha256(self.data).ljust(64, b"\0")


def document(name: str) -> dict[str, Any]:
    value = json.loads((RECORDED / "azure" / "key-bound" / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def _bundle(report: bytes, chain: bytes) -> EvidenceBundle:
    leaf, intermediate, root = (
        x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER) for pem in _PEM.findall(chain)
    )
    crl = amd_crl(Product.MILAN)
    assert crl is not None
    endorsements = {"leaf": leaf, "intermediate": intermediate, "root": root, "crl": crl}
    return EvidenceBundle(tee=SEV_SNP, evidence=report, endorsements=endorsements)


def container(use: str) -> Published:
    """Of a confidential container: the report binds the key, in PEM without its last line break."""
    whole = document(f"insecure-virtual_{use}_attestation")
    evidence = whole["report"]["snpCACI"]
    key = whole["publicKey"].strip().encode()
    return Published(
        evidence=_bundle(base64.b64decode(evidence["attestation"]), base64.b64decode(evidence["platformCertificates"])),
        data=key,
        public_key=key,
        private_key=serialization.load_pem_private_key(whole["privateKey"].encode(), None),
    )


def machine(use: str) -> Published:
    """Of a confidential VM: the report binds a document of its paravisor, whose user data binds the key."""
    whole = document(f"cvm_insecure-virtual_{use}_attestation")
    evidence = whole["report"]["snpCvm"]["evidence"]
    hcl = base64.b64decode(evidence["hclReport"])
    length = int.from_bytes(hcl[_HCL_DATA - 4 : _HCL_DATA], "little")
    assert base64.b64decode(evidence["snpReport"]) == hcl[_HCL_REPORT]
    return Published(
        evidence=_bundle(hcl[_HCL_REPORT], whole["report"]["snpCvm"]["platformCertificates"].encode()),
        data=hcl[_HCL_DATA : _HCL_DATA + length],
        public_key=whole["publicKey"].strip().encode(),
        private_key=serialization.load_pem_private_key(whole["privateKey"].encode(), None),
    )


def request() -> Published:
    """Of a request to Azure's attestation service: the report binds a key set (JWK) that holds the container's key."""
    whole = document("maa-request")
    report = json.loads(base64.b64decode(whole["report"]))
    jwks = base64.b64decode(whole["runtimeData"]["data"])
    (jwk,) = json.loads(jwks)["keys"]
    numbers = rsa.RSAPublicNumbers(n=_number(jwk["n"]), e=_number(jwk["e"]))
    key = numbers.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Published(
        evidence=_bundle(_base64url(report["SnpReport"]), _base64url(report["VcekCertChain"])),
        data=jwks,
        public_key=key.strip(),
        private_key=container("encryption").private_key,
    )


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(text: str) -> int:
    return int.from_bytes(_base64url(text), "big")


# --- the relying party: it trusts AMD's root, and what the report binds ---


def believed(published: Published) -> SnpClaims:
    """The report is AMD's, and made over ``data``."""
    claims = verify(published.evidence, roots=AMD_ROOTS, now=AT, report_data=published.report_data())
    assert isinstance(claims, SnpClaims)
    assert all(check.outcome is Outcome.PASS for check in claims.checks)
    assert not claims.simulated
    return claims


def attested_key(published: Published) -> Any:
    """The key that the hardware vouches for.  Raises NotAuthentic where it vouches for another."""
    believed(published)
    if not _names(published.data, published.public_key):
        raise NotAuthentic("the attested document names another key")
    return serialization.load_pem_public_key(published.public_key)


def _names(data: bytes, public_key: bytes) -> bool:
    if data == public_key:
        return True
    document = json.loads(data)
    if "user-data" in document:  # a paravisor's
        return bytes.fromhex(document["user-data"]) == sha256(public_key).ljust(64, b"\0")
    (jwk,) = document["keys"]
    key = serialization.load_pem_public_key(public_key)
    numbers = rsa.RSAPublicNumbers(n=_number(jwk["n"]), e=_number(jwk["e"]))
    return isinstance(key, rsa.RSAPublicKey) and key.public_numbers() == numbers


SIGNING = {"container": lambda: container("signing"), "machine": lambda: machine("signing")}
ENCRYPTION = {
    "container": lambda: container("encryption"),
    "machine": lambda: machine("encryption"),
    "request": request,
}
signing = pytest.mark.parametrize("kind", SIGNING)
encryption = pytest.mark.parametrize("kind", ENCRYPTION)
every = pytest.mark.parametrize(
    "make",
    [*SIGNING.values(), *ENCRYPTION.values()],
    ids=[*(f"{kind} that signs" for kind in SIGNING), *(f"{kind} that decrypts" for kind in ENCRYPTION)],
)


def test_they_are_the_reports_that_were_recorded_one_by_one() -> None:
    named = {
        **{name: container(use) for use, name in CONTAINERS.items()},
        **{name: machine(use) for use, name in MACHINES.items()},
        "b7a33e": request(),
    }
    for name, published in named.items():
        folder = RECORDED / "sev-snp" / f"milan-v3-vcek-azure-cleanroom-{name}"
        assert published.evidence.evidence == (folder / "report.bin").read_bytes()
        assert published.evidence.endorsements["leaf"] == (folder / "vcek.der").read_bytes()


# --- a handshake with a key that signs: nonce, keyset, strict channel ---


STRICT_KEY = XWingPrivateKey(bytes(range(32)))
KEYSET = Keyset(
    subject="a published workload",
    not_after=2_000_000_000,
    receipt_signing_keys=(),
    e2ee_public_keys=(PublicKey(key_id="s-1", algo=STRICT, public_key=STRICT_KEY.public_key().raw),),
)


def vouched(nonce: bytes, keyset: Keyset) -> bytes:
    """What the attested key signs: this keyset, for this question."""
    return transcript("key-bound handshake", nonce, keyset.digest.encode())


def attest(published: Published, nonce: bytes, keyset: Keyset) -> bytes:
    signature = published.private_key.sign(vouched(nonce, keyset), ec.ECDSA(hashes.SHA384()))
    assert isinstance(signature, bytes)
    return signature


def recipient(published: Published, keyset: Keyset, signature: bytes) -> strict.Recipient:
    """Whom the client may talk to: hardware → attested key → keyset → channel key."""
    attested_key(published).verify(signature, vouched(NONCE, keyset), ec.ECDSA(hashes.SHA384()))
    key = keyset.key(STRICT)
    return strict.Recipient(
        public_key=XWingPublicKey(key.public_key), key_id=key.key_id, keyset_digest=keyset.digest, service="published"
    )


def server(**changes: Any) -> strict.ServerKey:
    fields: dict[str, Any] = {
        "private_key": STRICT_KEY,
        "key_id": "s-1",
        "keyset_digest": KEYSET.digest,
        "service": "published",
    }
    return strict.ServerKey(**fields | changes)


@signing
def test_a_prompt_reaches_the_attested_workload_and_an_answer_comes_back(kind: str) -> None:
    published = SIGNING[kind]()
    to = recipient(published, KEYSET, attest(published, NONCE, KEYSET))
    client = strict.seal_request(to, method="POST", target="/v1/chat", fields=(), now=AT)
    message = client.push(b"a prompt") + client.finish()
    assert b"a prompt" not in message

    workload = strict.RequestOpener(server(), method="POST", target="/v1/chat", now=AT, max_body=100)
    assert b"".join(workload.push(message)) == b"a prompt"
    workload.finish()
    sealer = workload.response_sealer()
    answer = sealer.start(strict.ResponseHead(status=200, fields=())) + sealer.push(b"an answer") + sealer.finish()

    response = client.response_opener()
    assert b"".join(response.push(answer)) == b"an answer"
    response.finish()


@signing
def test_whom_the_attested_key_does_not_vouch_for(kind: str) -> None:
    published = SIGNING[kind]()
    signature = attest(published, NONCE, KEYSET)
    recipient(published, KEYSET, signature)
    other = replace(KEYSET, subject="another workload")
    flipped = bytes((*signature[:-1], signature[-1] ^ 1))
    stranger = replace(published, private_key=ec.generate_private_key(ec.SECP384R1()))
    for keyset, wrong in (
        (other, signature),
        (KEYSET, attest(published, bytes(32), KEYSET)),
        (KEYSET, flipped),
        (KEYSET, attest(stranger, NONCE, KEYSET)),
    ):
        with pytest.raises(InvalidSignature):
            recipient(published, keyset, wrong)


@signing
def test_another_server_cannot_read_what_was_sent(kind: str) -> None:
    published = SIGNING[kind]()
    to = recipient(published, KEYSET, attest(published, NONCE, KEYSET))
    client = strict.seal_request(to, method="POST", target="/", fields=(), now=AT)
    message = client.push(b"a prompt") + client.finish()
    middle = len(message) // 2
    flipped = message[:middle] + bytes((message[middle] ^ 1,)) + message[middle + 1 :]
    for key, sent in (
        (server(private_key=XWingPrivateKey(bytes(32))), message),
        (server(keyset_digest=replace(KEYSET, subject="another").digest), message),
        (server(), flipped),
    ):
        with pytest.raises(ChannelBroken):
            strict.RequestOpener(key, method="POST", target="/", now=AT, max_body=100).push(sent)


# --- a hand-over to a key that decrypts: the key of a sealed file ---


def hand_over(published: Published, secret: bytes) -> tuple[bytes, bytes]:
    """A data owner's part: a sealed file, and its key for the attested workload."""
    identity = age.generate_identity()
    sealed = io.BytesIO()
    age.seal_stream(io.BytesIO(secret), sealed, [identity.recipient()])
    return sealed.getvalue(), attested_key(published).encrypt(identity.reveal().encode(), OAEP)


def take(private_key: Any, sealed: bytes, wrapped: bytes) -> bytes:
    """The workload's part."""
    opened = io.BytesIO()
    age.open_stream(io.BytesIO(sealed), opened, age.parse_identity(private_key.decrypt(wrapped, OAEP).decode()))
    return opened.getvalue()


@encryption
def test_a_sealed_file_reaches_the_attested_workload(kind: str) -> None:
    published = ENCRYPTION[kind]()
    sealed, wrapped = hand_over(published, b"records")
    assert b"records" not in sealed
    assert take(published.private_key, sealed, wrapped) == b"records"


@encryption
def test_nobody_else_gets_it(kind: str) -> None:
    published = ENCRYPTION[kind]()
    sealed, wrapped = hand_over(published, b"records")
    for private_key, key in (
        (rsa.generate_private_key(65537, 2048), wrapped),
        (published.private_key, bytes((wrapped[0] ^ 1, *wrapped[1:]))),
    ):
        with pytest.raises(ValueError, match=r"."):
            take(private_key, sealed, key)
    with pytest.raises((NotAuthentic, Malformed)):
        take(published.private_key, sealed[:-1] + bytes((sealed[-1] ^ 1,)), wrapped)


# --- the hardware does not vouch for it ---


@every
def test_it_vouches_for_one_key(make: Any) -> None:
    published = make()
    public = published.private_key.public_key()
    assert attested_key(published).public_numbers() == public.public_numbers()


@every
def test_another_key_is_refused(make: Any) -> None:
    published = make()
    others = (each() for each in (*SIGNING.values(), *ENCRYPTION.values()))
    other = next(
        each
        for each in others
        if each.public_key != published.public_key and type(each.private_key) is type(published.private_key)
    )
    spoilt = replace(published, public_key=other.public_key)
    if published.data == published.public_key:
        spoilt = replace(spoilt, data=other.public_key)
    with pytest.raises(NotAuthentic):
        attested_key(spoilt)


@every
def test_another_report_is_refused(make: Any) -> None:
    """Every other one is as genuine, and its chip's key as good; it was made over something else."""
    published = make()
    for other in (each() for each in (*SIGNING.values(), *ENCRYPTION.values())):
        if other.evidence.evidence != published.evidence.evidence:
            with pytest.raises(NotAuthentic) as refused:
                attested_key(replace(published, evidence=other.evidence))
            assert refused.value.code == "snp.report-data"


@every
def test_one_bit_of_the_binding_is_enough(make: Any) -> None:
    published = make()
    report = published.evidence.evidence
    for at in (0x50, 0x6F, 0x8F, 0x90, 0x1A0, 0x2A0):
        spoilt = bytearray(report)
        spoilt[at] ^= 1
        evidence = replace(published.evidence, evidence=bytes(spoilt))
        with pytest.raises(NotAuthentic) as refused:
            attested_key(replace(published, evidence=evidence))
        assert refused.value.code in ("snp.signature", "snp.identity")
    middle = len(published.data) // 2
    data = published.data[:middle] + bytes((published.data[middle] ^ 1,)) + published.data[middle + 1 :]
    with pytest.raises(NotAuthentic) as refused:
        attested_key(replace(published, data=data))
    assert refused.value.code == "snp.report-data"
