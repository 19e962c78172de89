"""AMD's certificate extensions (AMD 57230, 3.1): what parses comes back, what is odd is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import Product, Tcb
from hermetic.sources.simulator.der import tlv
from hermetic.verify.kds import LeafIdentity

OID = "1.3.6.1.4.1.3704.1."
svn = st.integers(min_value=0, max_value=255)
printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40)


@st.composite
def identities(draw: st.DrawFn) -> LeafIdentity:
    product = draw(st.sampled_from(Product))
    turin, vlek = product is Product.TURIN, draw(st.booleans())
    size = 8 if turin else 64
    return LeafIdentity(
        product=product,
        product_name=f"{product}{draw(st.sampled_from(['', '-B0', '-A1']))}",
        tcb=Tcb(
            fmc=draw(svn) if turin else None,
            boot_loader=draw(svn),
            tee=draw(svn),
            snp=draw(svn),
            microcode=draw(svn),
        ),
        hwid=None if vlek else draw(st.binary(min_size=size, max_size=size)),
        csp_id=draw(printable) if vlek else None,
    )


@given(identities())
def test_an_identity_comes_back_as_it_was_written(identity: LeafIdentity) -> None:
    assert LeafIdentity.from_extensions(identity.to_extensions()) == identity


GENOA = LeafIdentity(
    product=Product.GENOA,
    product_name="Genoa",
    tcb=Tcb(boot_loader=10, tee=0, snp=25, microcode=200),
    hwid=bytes(range(64)),
).to_extensions()


def test_the_form_that_amd_writes() -> None:
    assert GENOA[OID + "2"] == bytes.fromhex("160547656e6f61")
    assert GENOA[OID + "3.8"] == bytes.fromhex("020200c8")
    assert GENOA[OID + "3.5"] == bytes.fromhex("020100")
    assert GENOA[OID + "4"] == bytes(range(64))


@pytest.mark.parametrize("oid", [f"{OID}{n}" for n in ("1", "2", "3.1", "3.2", "3.3", "3.8", "4")])
def test_what_is_missing(oid: str) -> None:
    with pytest.raises(Malformed):
        LeafIdentity.from_extensions({name: value for name, value in GENOA.items() if name != oid})


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        pytest.param("1", "020101", id="Turin's version without an FMC"),
        pytest.param("1", "020102", id="an unknown version"),
        pytest.param("2", "160554757269", id="a name cut short"),
        pytest.param("2", "1605526f6d6521", id="a product that does not exist"),
        pytest.param("2", "0c0547656e6f61", id="a name that is no IA5String"),
        pytest.param("2", "160647656e6f610a", id="a name with a line break"),
        pytest.param("2", "1600", id="no name"),
        pytest.param("3.1", "02020100", id="a level beyond a byte"),
        pytest.param("3.1", "0201ff", id="a negative level"),
        pytest.param("3.1", "0202000a", id="a level with a needless zero"),
        pytest.param("3.1", "040101", id="a level that is no INTEGER"),
        pytest.param("3.1", "02010100", id="a level with a byte behind it"),
        pytest.param("3.4", "020101", id="a level that is not in use"),
        pytest.param("3.9", "020100", id="an FMC beside a Genoa"),
        pytest.param("4", "00" * 63, id="a short hardware identity"),
        pytest.param("4", "00" * 8, id="Turin's hardware identity"),
        pytest.param("4", "0441" + "00" * 65, id="a long one in an OCTET STRING"),
        pytest.param("4", "0540" + "00" * 64, id="one in another kind of string"),
        pytest.param("5", "160161", id="a provider beside a chip"),
    ],
)
def test_what_is_odd(oid: str, value: str) -> None:
    LeafIdentity.from_extensions(GENOA)
    with pytest.raises(Malformed):
        LeafIdentity.from_extensions(GENOA | {OID + oid: bytes.fromhex(value)})


def test_a_bare_identity_that_looks_like_a_string() -> None:
    hwid = b"\x04\x40" + bytes(62)
    assert LeafIdentity.from_extensions(GENOA | {OID + "4": hwid}).hwid == hwid
    assert LeafIdentity.from_extensions(GENOA | {OID + "4": b"\x04\x40" + hwid}).hwid == hwid


@pytest.mark.parametrize("text", ["", "a\nb", "caf\xe9", "x" * 128])
def test_a_provider_is_short_and_printable(text: str) -> None:
    """It is shown to a person, and named in a policy."""
    vlek = {oid: value for oid, value in GENOA.items() if oid != OID + "4"}
    for longest in (b"abc", b"x" * 127):
        LeafIdentity.from_extensions(vlek | {OID + "5": tlv(0x16, longest)})
    content = text.encode("latin-1")
    with pytest.raises(Malformed):
        LeafIdentity.from_extensions(vlek | {OID + "5": tlv(0x16, content)})


@given(st.dictionaries(st.sampled_from(sorted(GENOA)), st.binary(max_size=70)))
def test_arbitrary_extensions_are_read_or_refused(changes: dict[str, bytes]) -> None:
    changed = GENOA | changes
    try:
        identity = LeafIdentity.from_extensions(changed)
    except Malformed:
        return
    again = identity.to_extensions()
    # The one value with two spellings is the hardware identity; all others come back as they were.
    assert {oid: again[oid] for oid in changed if oid != OID + "4"} == {
        oid: value for oid, value in changed.items() if oid != OID + "4"
    }
