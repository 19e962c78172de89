"""The ways in which vendors sign: the verifier fixes one, and what is signed may only agree.

An algorithm is one object: the key that it takes, the identifiers (RFC 5280, 4.1.1.2) that name it in a certificate or
a list, and the one call that verifies.  RSASSA-PKCS1-v1_5, which Azure and Google use, will be a third kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hermetic.errors import NotAuthentic
from hermetic.evidence.x509 import PublicKey


class Algorithm(Protocol):
    """How signatures of one kind are made."""

    @property
    def name(self) -> str:
        """For a person."""

    @property
    def identifiers(self) -> frozenset[bytes]:
        """The AlgorithmIdentifiers (DER) that state it."""

    def require(self, key: PublicKey, data: bytes, signature: bytes) -> None:
        """``key`` is of the right kind and size and made ``signature`` (as in a certificate) over ``data``.

        Raises NotAuthentic.
        """

    def require_key(self, key: PublicKey) -> None:
        """Raises NotAuthentic where ``key`` is of another kind or size."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ecdsa:
    """ECDSA on one curve with one hash.  It accepts (r, n - s) where it accepts (r, s)."""

    curve: ec.EllipticCurve
    hash: hashes.HashAlgorithm
    identifiers: frozenset[bytes]

    @property
    def size(self) -> int:
        """Of r and of s, in bytes."""
        return self.curve.key_size // 8

    @property
    def name(self) -> str:
        return f"ECDSA P-{self.curve.key_size} with SHA-{8 * self.hash.digest_size}"

    def require_key(self, key: PublicKey) -> None:
        self._key(key)

    def require(self, key: PublicKey, data: bytes, signature: bytes) -> None:
        try:
            self._key(key).verify(signature, data, ec.ECDSA(self.hash))
        except InvalidSignature as error:
            raise NotAuthentic("another signature, or other bytes") from error

    def require_numbers(self, key: PublicKey, data: bytes, *, r: int, s: int) -> None:
        """As :meth:`require`, for a signature that is not in DER."""
        self.require(key, data, encode_dss_signature(r, s))

    def require_raw(self, key: PublicKey, data: bytes, signature: bytes) -> None:
        """As :meth:`require`; ``signature`` is r and s, big-endian, side by side, each of :attr:`size`."""
        if len(signature) != 2 * self.size:
            raise NotAuthentic(f"a signature of {len(signature)} bytes, not {2 * self.size}")
        r, s = (int.from_bytes(half, "big") for half in (signature[: self.size], signature[self.size :]))
        self.require_numbers(key, data, r=r, s=s)

    def key_from_point(self, point: bytes) -> ec.EllipticCurvePublicKey:
        """From x and y, big-endian, side by side.  Raises NotAuthentic where the point is not on the curve."""
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, b"\x04" + point)
        except ValueError as error:
            raise NotAuthentic(f"a key that is not a point of P-{self.curve.key_size}") from error

    def _key(self, key: PublicKey) -> ec.EllipticCurvePublicKey:
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, type(self.curve)):
            raise NotAuthentic(f"a key that is not on P-{self.curve.key_size}")
        return key


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RsaPss:
    """RSASSA-PSS with one hash, also for the mask, and a salt of the hash's length; keys of one size."""

    bits: int
    hash: hashes.HashAlgorithm
    identifiers: frozenset[bytes]

    @property
    def name(self) -> str:
        return f"RSASSA-PSS, SHA-{8 * self.hash.digest_size} and a salt of {self.hash.digest_size} bytes"

    def require_key(self, key: PublicKey) -> None:
        self._key(key)

    def require(self, key: PublicKey, data: bytes, signature: bytes) -> None:
        pss = padding.PSS(padding.MGF1(self.hash), self.hash.digest_size)
        try:
            self._key(key).verify(signature, data, pss, self.hash)
        except InvalidSignature as error:
            raise NotAuthentic("another signature, or other bytes") from error

    def _key(self, key: PublicKey) -> rsa.RSAPublicKey:
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != self.bits:
            raise NotAuthentic(f"a key that is not RSA-{self.bits}")
        return key


def _der(text: str) -> bytes:
    return bytes.fromhex(text)


ECDSA_P256 = Ecdsa(
    curve=ec.SECP256R1(),
    hash=hashes.SHA256(),
    identifiers=frozenset({_der("300a 06082a8648ce3d040302")}),  # ecdsa-with-SHA256, no parameters
)
ECDSA_P384 = Ecdsa(
    curve=ec.SECP384R1(),
    hash=hashes.SHA384(),
    identifiers=frozenset({_der("300a 06082a8648ce3d040303")}),  # ecdsa-with-SHA384, no parameters
)

# id-RSASSA-PSS: SHA-384, MGF1 with SHA-384, a salt of 48 bytes; and the trailer, whose default some certificates spell.
_SHA384 = "300d 0609608648016503040202 0500"
_PSS = f"06092a864886f70d01010a {{}} a00f{_SHA384} a11c301a06092a864886f70d010108{_SHA384} a203020130"
RSA_4096_PSS = RsaPss(
    bits=4096,
    hash=hashes.SHA384(),
    identifiers=frozenset(
        {_der("3041" + _PSS.format("3034")), _der("3046" + _PSS.format("3039") + "a303020101")},
    ),
)
