"""Documents that are written to be costly, or to break whoever reads them: nothing signs these."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

COMMON_NAME = bytes.fromhex("550403")
_ALGORITHM = bytes.fromhex("2a8648ce3d040303")
_KEY = ec.derive_private_key(7, ec.SECP384R1()).public_key()
UTF8, PRINTABLE, BITS, INTEGER, BMP = 0x0C, 0x13, 0x03, 0x02, 0x1E


def der(tag: int, *contents: bytes) -> bytes:
    """One value, its length in the shortest form."""
    content = b"".join(contents)
    size = len(content)
    length = bytes((size,)) if size < 0x80 else bytes((0x81, size)) if size < 0x100 else b"\x82" + size.to_bytes(2)
    return bytes((tag,)) + length + content


def sequence(*contents: bytes) -> bytes:
    return der(0x30, *contents)


def identifier(length: int) -> bytes:
    """An object identifier of one arc, whose content takes ``length`` bytes."""
    return der(6, b"\xff" * (length - 1) + b"\x7f")


LONG = identifier(2501)
"""Its arc has more digits than Python writes out."""


def name(text: bytes = b"x", *, tag: int = UTF8, kind: bytes = COMMON_NAME) -> bytes:
    return sequence(der(0x31, sequence(der(6, kind), der(tag, text))))


def extension(oid: bytes, value: bytes = b"x") -> bytes:
    return sequence(oid, der(4, value))


def certificate(*extensions: bytes, subject: bytes | None = None, version: int = 2, serial: int = 1) -> bytes:
    algorithm = sequence(der(6, _ALGORITHM))
    body = sequence(
        der(0xA0, der(INTEGER, bytes((version,)))),
        der(INTEGER, bytes((serial,))),
        algorithm,
        name(),
        sequence(der(0x17, b"200101000000Z"), der(0x17, b"400101000000Z")),
        subject or name(),
        _KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        *([der(0xA3, sequence(*extensions))] if extensions else []),
    )
    return _signed(body, algorithm)


def revocation_list(*extensions: bytes) -> bytes:
    algorithm = sequence(der(6, _ALGORITHM))
    dates = der(0x17, b"200101000000Z"), der(0x17, b"400101000000Z")
    return _signed(
        sequence(der(INTEGER, b"\1"), algorithm, name(), *dates, der(0xA0, sequence(*extensions))), algorithm
    )


def _signed(body: bytes, algorithm: bytes) -> bytes:
    return sequence(body, algorithm, der(BITS, b"\0" + sequence(der(INTEGER, b"\1"), der(INTEGER, b"\1"))))


def deep_intel(member: str = "tcbInfo", brackets: int = 8000) -> bytes:
    """An answer of Intel's service with a member that nobody reads, and that is brackets in brackets."""
    body = '{"version":3,"x":' + "[" * brackets + "]" * brackets + "}"
    return f'{{"{member}":{body},"signature":"{"0" * 128}"}}'.encode()
