"""Intel's extension of a platform's certificate: each member once, whole and in its range, or nothing is read."""

from __future__ import annotations

import pytest

from hermetic.errors import Malformed
from hermetic.evidence._der import Node, read_der
from hermetic.sources.simulator.der import SEQUENCE, tlv
from hermetic.verify.intel_pck import SGX_EXTENSION, PckIdentity
from intel_forge import FMSPC, PPID, pck_extension

GOOD = pck_extension()
PAIRS = read_der(GOOD).children()
INSTANCE, CONFIGURATION = "1.2.840.113741.1.13.1.6", "1.2.840.113741.1.13.1.7"


def name(pair: Node) -> str:
    return pair.children()[0].oid()


def read(extension: bytes) -> PckIdentity:
    return PckIdentity.from_extensions({SGX_EXTENSION: extension})


def refused(extension: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        read(extension)
    return caught.value.message


def test_what_it_says() -> None:
    identity = read(GOOD)
    assert (identity.fmspc, identity.ppid, identity.pce_svn, identity.components) == (FMSPC, PPID, 13, (5,) * 16)
    with pytest.raises(Malformed, match="which platform"):
        PckIdentity.from_extensions({})


@pytest.mark.parametrize("place", range(len(PAIRS)), ids=[name(pair) for pair in PAIRS])
def test_each_member_stands_there_once(place: int) -> None:
    encoded = [pair.encoded for pair in PAIRS]
    without = tlv(SEQUENCE, *encoded[:place], *encoded[place + 1 :])
    if name(PAIRS[place]) in (INSTANCE, CONFIGURATION):
        read(without)
    else:
        assert "is missing" in refused(without)
    assert "each identifier once" in refused(tlv(SEQUENCE, *encoded, encoded[place]))
    oid, value = PAIRS[place].children()
    for members in ((oid, value, value), (oid,), ()):
        pair = tlv(SEQUENCE, *(member.encoded for member in members))
        assert "pairs of" in refused(tlv(SEQUENCE, *encoded[:place], pair, *encoded[place + 1 :]))


def test_versions_have_their_ranges() -> None:
    assert read(pck_extension(components=(255,) * 16, pce_svn=65535)).pce_svn == 65535
    assert "from 0 to 65535" in refused(pck_extension(pce_svn=65536))
    component, kind = b"\x02\x01\x05", b"\x0a\x01\x01"
    assert (GOOD.count(component), GOOD.count(kind)) == (16, 1)
    assert "from 0 to 255" in refused(GOOD.replace(component, component[:2] + b"\xff"))
    assert "from 0 to 255" in refused(GOOD.replace(kind, kind[:2] + b"\xff"))


def test_identities_have_their_lengths() -> None:
    assert "expected 6 bytes" in refused(pck_extension(fmspc=bytes(5)))
    assert "expected 2 bytes" in refused(pck_extension(pce_id=bytes(3)))
