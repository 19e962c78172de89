"""Elliptic-curve keys and signatures of simulated vendors: each key follows from a seed and a name, so does each
signature from its key and what is signed (RFC 6979), and with them every certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from hermetic.wire import transcript

P256, P384 = "secp256r1", "secp384r1"

_CURVES: dict[str, ec.SECP256R1 | ec.SECP384R1] = {P256: ec.SECP256R1(), P384: ec.SECP384R1()}
_HASHES: dict[str, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_ORDERS = {
    P256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    P384: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
_REMEMBERED = 512


def hash_of(name: str) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """``"sha256"``, ``"sha384"`` or ``"sha512"``."""
    return _HASHES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcKeys:
    """All keys of one vendor, by name; any name has one."""

    vendor: str
    seed: bytes = field(repr=False)

    def key(self, name: str, curve: str = P256) -> ec.EllipticCurvePrivateKey:
        return _derived(self.vendor, self.seed, name, curve)

    def secret(self, name: str, length: int, *context: bytes) -> bytes:
        """``length`` bytes that nobody without the seed can tell from random ones."""
        return _expand(self.vendor, self.seed, length, b"secret", name.encode(), *context)


def raw_signature(key: ec.EllipticCurvePrivateKey, data: bytes, hash_name: str) -> bytes:
    """r and s, big-endian, each as long as the curve's numbers."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hash_of(hash_name), deterministic_signing=True)))
    size = key.curve.key_size // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def public_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """x and y, big-endian, without the byte that says so."""
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]


def simulated_name(vendor: str, common_name: str) -> x509.Name:
    """The vendor's common name, which verifiers compare, under one that tells a person whose certificate this is."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hermetic Simulator"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"SIMULATED, not {vendor}"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EcCrl:
    """A revocation list before it is signed.  ``revoked``: serial numbers."""

    first: datetime
    last: datetime
    revoked: tuple[int, ...] = ()
    hash_name: str = "sha256"

    def sign(self, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> bytes:
        """The list in DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer)
            .last_update(self.first)
            .next_update(self.last)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.first)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(key, hash_of(self.hash_name), ecdsa_deterministic=True)
        return signed.public_bytes(serialization.Encoding.DER)


@lru_cache(_REMEMBERED)
def _derived(vendor: str, seed: bytes, name: str, curve: str) -> ec.EllipticCurvePrivateKey:
    order = _ORDERS[curve]
    # 16 bytes more than the order has: reduced modulo it, the bias is below 2**-128.
    wide = _expand(vendor, seed, order.bit_length() // 8 + 16, b"key", curve.encode(), name.encode())
    return ec.derive_private_key(int.from_bytes(wide, "big") % (order - 1) + 1, _CURVES[curve])


def _expand(vendor: str, seed: bytes, length: int, *context: bytes) -> bytes:
    info = transcript(f"hermetic.simulator.{vendor}.v1", *context)
    return HKDF(algorithm=hashes.SHA384(), length=length, salt=None, info=info).derive(seed)
