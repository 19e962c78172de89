"""One bit, anywhere: no mutant of a report or of its endorsements verifies, and none does anything but be refused.

The written malleability list is empty for single bits.  Two things remain that no verifier can refuse, so a hash of
evidence never names it: ECDSA accepts (r, n - s) where it accepts (r, s), tested below; and an endorsement may be
exchanged for another valid one (a newer list, a re-issued certificate).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import EvidenceBundle, Product, SigningKey
from hermetic.verify import AMD_ROOTS, verify
from snp_support import NOW, REPORT_DATA, endorsed, issue, recorded, roots, simulated, with_evidence
from vectors import ROOT, needs_vectors

P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
# A flipped bit can make a serial number zero or a country eleven letters long, of which the library below warns.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]

PARTS = ("report", "leaf", "intermediate", "root", "crl")
parts = pytest.mark.parametrize("part", PARTS)


def part_of(bundle: EvidenceBundle, part: str) -> bytes:
    return bundle.evidence if part == "report" else bundle.endorsements[part]


def with_part(bundle: EvidenceBundle, part: str, data: bytes) -> EvidenceBundle:
    return with_evidence(bundle, data) if part == "report" else endorsed(bundle, **{part: data})


def survivors(bundle: EvidenceBundle, part: str, bits: Iterable[int], **asked: Any) -> list[str]:
    """Where a flipped bit went unnoticed.  Anything but the two refusals of a verifier is an error of its own."""
    data, unnoticed = part_of(bundle, part), []
    for bit in bits:
        mutant = bytearray(data)
        mutant[bit // 8] ^= 1 << bit % 8
        try:
            verify(with_part(bundle, part, bytes(mutant)), **asked)
        except (Malformed, NotAuthentic):
            continue
        unnoticed.append(f"bit {bit % 8} of byte 0x{bit // 8:x}")
    return unnoticed


@parts
def test_every_single_bit(part: str) -> None:
    amd = simulated(Product.TURIN)
    bundle = issue(amd)
    asked: dict[str, Any] = {"roots": roots(amd), "now": NOW, "report_data": REPORT_DATA}
    verify(bundle, **asked)
    assert survivors(bundle, part, range(8 * len(part_of(bundle, part))), **asked) == []


@needs_vectors
@parts
def test_a_bit_of_every_byte_of_real_evidence(part: str) -> None:
    folder = ROOT / "attestation" / "sev-snp" / "genoa-v5-vcek-oak-6d1cef"
    report, leaf = ((folder / name).read_bytes() for name in ("report.bin", "vcek.der"))
    bundle = recorded(report, leaf, Product.GENOA, SigningKey.VCEK)
    now = NOW.replace(year=2025, month=9)
    report_data = verify(bundle, roots=AMD_ROOTS, now=now, report_data=None).report_data
    choose = random.Random(part)
    bits = [8 * offset + choose.randrange(8) for offset in range(len(part_of(bundle, part)))]
    assert survivors(bundle, part, bits, roots=AMD_ROOTS, now=now, report_data=report_data) == []


@given(st.sampled_from(PARTS), st.data())
def test_splices_are_refused_and_nothing_else(part: str, data: st.DataObject) -> None:
    """Longer damage: a span replaced, removed or doubled.  Whatever it is, the answer is a refusal, never a crash."""
    bundle = issue()
    good = part_of(bundle, part)
    start = data.draw(st.integers(min_value=0, max_value=len(good)))
    stop = data.draw(st.integers(min_value=start, max_value=min(len(good), start + 64)))
    spliced = good[:start] + data.draw(st.binary(max_size=64)) + good[stop:]
    if spliced == good:
        return
    with pytest.raises(Refused):
        verify(with_part(bundle, part, spliced), roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)


def test_the_one_malleability_of_ecdsa() -> None:
    """(r, n - s) is a second signature over the same report: never a second statement, but a second hash."""
    bundle = issue()
    s = int.from_bytes(bundle.evidence[0x2E8:0x330], "little")
    twin = bundle.evidence[:0x2E8] + (P384_ORDER - s).to_bytes(72, "little") + bundle.evidence[0x330:]
    assert twin != bundle.evidence
    verify(with_evidence(bundle, twin), roots=roots(simulated()), now=NOW, report_data=REPORT_DATA)
