"""TCB versions mean different things on different products (AMD 56860, 2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import Product, Tcb, TcbVersion

svn = st.integers(min_value=0, max_value=255)
products = st.sampled_from(Product)


@st.composite
def levels(draw: st.DrawFn) -> tuple[Product, Tcb]:
    product = draw(products)
    fmc = draw(svn) if product is Product.TURIN else None
    return product, Tcb(fmc=fmc, boot_loader=draw(svn), tee=draw(svn), snp=draw(svn), microcode=draw(svn))


@given(levels())
def test_a_level_comes_back_as_it_was_written(level: tuple[Product, Tcb]) -> None:
    product, tcb = level
    assert tcb.encode(product).decode(product) == tcb


def test_the_two_layouts() -> None:
    raw = TcbVersion(raw=bytes((4, 0, 0, 0, 0, 0, 0x18, 0xD9)))
    assert raw.decode(Product.MILAN) == Tcb(boot_loader=4, tee=0, snp=0x18, microcode=0xD9)
    turin = TcbVersion(raw=bytes((9, 1, 7, 2, 0, 0, 0, 0x47)))
    assert turin.decode(Product.TURIN) == Tcb(fmc=9, boot_loader=1, tee=7, snp=2, microcode=0x47)


@pytest.mark.parametrize("product", Product)
def test_reserved_bytes_are_zero(product: Product) -> None:
    reserved = (4, 5, 6) if product is Product.TURIN else (2, 3, 4, 5)
    for offset in range(8):
        raw = bytearray(8)
        raw[offset] = 1
        if offset in reserved:
            with pytest.raises(Malformed):
                TcbVersion(raw=bytes(raw)).decode(product)
        else:
            TcbVersion(raw=bytes(raw)).decode(product)


def test_a_level_of_another_product_cannot_be_written() -> None:
    with pytest.raises(Malformed):
        Tcb(boot_loader=0, tee=0, snp=0, microcode=0).encode(Product.TURIN)
    with pytest.raises(Malformed):
        Tcb(fmc=0, boot_loader=0, tee=0, snp=0, microcode=0).encode(Product.GENOA)


@pytest.mark.parametrize("older", ["boot_loader", "tee", "snp", "microcode", "fmc"])
def test_every_component_counts(older: str) -> None:
    base = dict.fromkeys(("boot_loader", "tee", "snp", "microcode", "fmc"), 5)
    floor = Tcb(**base)
    assert floor.covers(floor)
    assert Tcb(**{**base, older: 6}).covers(floor)
    assert not Tcb(**{**base, older: 4}).covers(floor)


def test_a_level_never_covers_another_products() -> None:
    turin = Tcb(fmc=255, boot_loader=255, tee=255, snp=255, microcode=255)
    genoa = Tcb(boot_loader=0, tee=0, snp=0, microcode=0)
    assert not turin.covers(genoa)
    assert not genoa.covers(turin)


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x00, Product.MILAN),
        (0x19, 0x0F, Product.MILAN),
        (0x19, 0x10, Product.GENOA),
        (0x19, 0x1F, Product.GENOA),
        (0x19, 0xA0, Product.GENOA),
        (0x19, 0xAF, Product.GENOA),
        (0x1A, 0x00, Product.TURIN),
        (0x1A, 0x11, Product.TURIN),
    ],
)
def test_cpuid(family: int, model: int, product: Product) -> None:
    assert Product.from_cpuid(family, model) is product


@pytest.mark.parametrize(
    ("family", "model"), [(0x17, 0x31), (0x19, 0x20), (0x19, 0x9F), (0x19, 0xB0), (0x1A, 0x12), (0x1B, 0x00)]
)
def test_an_unknown_processor_is_no_product(family: int, model: int) -> None:
    with pytest.raises(Malformed):
        Product.from_cpuid(family, model)
