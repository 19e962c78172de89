"""What a VCEK or VLEK certificate says of the key's owner: AMD's own extensions (AMD 57230, 3.1).

Reader and writer stand side by side, as with reports: the simulator issues what the verifier reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hermetic.errors import Malformed
from hermetic.evidence import Product, Tcb
from hermetic.evidence._der import IA5, read_der

_AMD = "1.3.6.1.4.1.3704.1."
_STRUCT_VERSION, _PRODUCT, _HWID, _CSP_ID = (f"{_AMD}{n}" for n in (1, 2, 4, 5))
_SPL = {
    "boot_loader": f"{_AMD}3.1",
    "tee": f"{_AMD}3.2",
    "snp": f"{_AMD}3.3",
    "microcode": f"{_AMD}3.8",
    "fmc": f"{_AMD}3.9",
}
_SPARE_SPLS = tuple(f"{_AMD}3.{n}" for n in (4, 5, 6, 7))
_HWID_LENGTH = {Product.MILAN: 64, Product.GENOA: 64, Product.TURIN: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafIdentity:
    """Whose key it is and for which firmware.  A VCEK has ``hwid`` (64 bytes; 8 on Turin), a VLEK has ``csp_id``."""

    product: Product
    product_name: str
    tcb: Tcb
    hwid: bytes | None = None
    csp_id: str | None = None

    @classmethod
    def from_extensions(cls, extensions: Mapping[str, bytes]) -> LeafIdentity:
        """From the DER of the certificate's extensions.  Raises Malformed where one is missing, foreign or odd."""
        version = _integer(extensions, _STRUCT_VERSION)
        product_name = _ia5_string(extensions, _PRODUCT)
        product = _product_of(product_name)
        if version != (product is Product.TURIN) or (_SPL["fmc"] in extensions) != (product is Product.TURIN):
            raise Malformed("AMD certificate: version 1 has an FMC and is Turin's; version 0 has none")
        levels = {name: _integer(extensions, oid) for name, oid in _SPL.items() if name != "fmc"}
        for spare in _SPARE_SPLS:
            if spare in extensions and _integer(extensions, spare) != 0:
                raise Malformed("AMD certificate: a security version that is not in use is not zero")
        if (_HWID in extensions) == (_CSP_ID in extensions):
            raise Malformed("AMD certificate: expected a hardware identity or a provider's, and not both")
        return cls(
            product=product,
            product_name=product_name,
            tcb=Tcb(**levels, fmc=_integer(extensions, _SPL["fmc"]) if product is Product.TURIN else None),
            hwid=_hwid(extensions[_HWID], _HWID_LENGTH[product]) if _HWID in extensions else None,
            csp_id=_ia5_string(extensions, _CSP_ID) if _CSP_ID in extensions else None,
        )

    def to_extensions(self) -> dict[str, bytes]:
        """The inverse of :meth:`from_extensions`, in the order and form that AMD issues."""
        spares = dict.fromkeys(_SPARE_SPLS, 0)
        levels = {_SPL[name]: value for name, value in self.tcb.components().items()} | spares
        extensions = {
            _STRUCT_VERSION: _der_integer(int(self.product is Product.TURIN)),
            _PRODUCT: _der_ia5_string(self.product_name),
            **{oid: _der_integer(levels[oid]) for oid in sorted(levels)},
        }
        if self.hwid is not None:
            extensions[_HWID] = self.hwid
        if self.csp_id is not None:
            extensions[_CSP_ID] = _der_ia5_string(self.csp_id)
        return extensions


def _product_of(name: str) -> Product:
    """ "Milan-B0" is a Milan of stepping B0; newer certificates leave the stepping out."""
    try:
        return Product(name.partition("-")[0])
    except ValueError:
        raise Malformed("AMD certificate: the product is not one that this version knows") from None


def _hwid(value: bytes, length: int) -> bytes:
    """AMD writes the bare bytes; the specification asks for an OCTET STRING around them.  The length tells which."""
    wrapped = bytes((0x04, length))
    if len(value) == length + len(wrapped) and value.startswith(wrapped):
        return value[len(wrapped) :]
    if len(value) != length:
        raise Malformed(f"AMD certificate: expected a hardware identity of {length} bytes")
    return value


def _integer(extensions: Mapping[str, bytes], oid: str) -> int:
    number = read_der(extensions.get(oid, b"")).number()
    if not 0 <= number <= 255:
        raise Malformed(f"AMD certificate: expected a number from 0 to 255 in {oid}")
    return number


def _der_integer(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes((0x02, len(content))) + content


def _ia5_string(extensions: Mapping[str, bytes], oid: str) -> str:
    node = read_der(extensions.get(oid, b""))
    text = node.text()
    if node.tag != IA5 or not 1 <= len(text) <= 127 or not text.isprintable():
        raise Malformed(f"AMD certificate: expected a short and printable text in {oid}")
    return text


def _der_ia5_string(text: str) -> bytes:
    content = text.encode("ascii")
    return bytes((0x16, len(content))) + content
