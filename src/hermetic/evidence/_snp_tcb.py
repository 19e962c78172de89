"""Products and the security versions of their firmware (AMD 56860, 2.2; AMD 57230, 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hermetic.errors import Malformed


class Product(StrEnum):
    """The processor lines that have a root of their own at AMD."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"

    @classmethod
    def from_cpuid(cls, family: int, model: int) -> Product:
        """The product of a CPUID family and model.  Raises Malformed for one that this version does not know."""
        for product, known_family, models in _CPUID:
            if family == known_family and model in models:
                return product
        raise Malformed(f"no SEV-SNP product has CPUID family 0x{family:02x}, model 0x{model:02x}")


_CPUID = (
    (Product.MILAN, 0x19, range(0x00, 0x10)),
    (Product.GENOA, 0x19, range(0x10, 0x20)),
    (Product.GENOA, 0x19, range(0xA0, 0xB0)),  # Bergamo and Siena: Genoa's root and layout
    (Product.TURIN, 0x1A, range(0x00, 0x12)),
)

COMPONENTS = ("fmc", "boot_loader", "tee", "snp", "microcode")
"""The names of a TCB's components; ``fmc`` exists on Turin only."""

_CLASSIC = {"boot_loader": 0, "tee": 1, "snp": 6, "microcode": 7}
_LAYOUT: dict[Product, dict[str, int]] = {
    Product.MILAN: _CLASSIC,
    Product.GENOA: _CLASSIC,
    Product.TURIN: {"fmc": 0, "boot_loader": 1, "tee": 2, "snp": 3, "microcode": 7},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tcb:
    """Security version numbers, 0 to 255 each, of the firmware that a guest has to trust.  ``fmc``: Turin only."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int
    fmc: int | None = None

    def components(self) -> dict[str, int]:
        """The components that this product has, by name."""
        return {name: value for name in COMPONENTS if (value := getattr(self, name)) is not None}

    def encode(self, product: Product) -> TcbVersion:
        """The eight bytes as ``product`` lays them out.  Raises Malformed where a component is missing or foreign."""
        layout, values = _LAYOUT[product], self.components()
        if layout.keys() != values.keys():
            raise Malformed(f"a TCB of {product} has the components {', '.join(layout)}")
        raw = bytearray(8)
        for name, offset in layout.items():
            raw[offset] = values[name]
        return TcbVersion(raw=bytes(raw))

    def covers(self, other: Tcb) -> bool:
        """Whether no component is older than in ``other``.  Different products never cover each other."""
        mine, theirs = self.components(), other.components()
        return mine.keys() == theirs.keys() and all(mine[name] >= theirs[name] for name in mine)

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.components().items())


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbVersion:
    """A TCB_VERSION as the report holds it: eight bytes whose meaning depends on the product."""

    raw: bytes

    def decode(self, product: Product) -> Tcb:
        """What the bytes mean on ``product``.  Raises Malformed where a reserved byte is not zero."""
        layout = _LAYOUT[product]
        if any(self.raw[offset] for offset in range(8) if offset not in layout.values()):
            raise Malformed(f"TCB {self.raw.hex()}: a byte that {product} reserves is not zero")
        return Tcb(**{name: self.raw[offset] for name, offset in layout.items()})
