"""One bit, anywhere: no mutant of a quote or of its collateral verifies, and none does anything but be refused.

The written malleability list is empty for single bits.  What remains, tested below but for the last two, gives a quote
other bytes and never another meaning, so a hash of evidence never names it: ECDSA accepts (r, n - s) where it accepts
(r, s); a NUL may end the certificates or not; their lines may be of 64 or of 76 characters, as some recorded quotes'
are; and an endorsement may be exchanged for another valid one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermetic.errors import Malformed, NotAuthentic, Refused
from hermetic.evidence import EvidenceBundle, SgxQuote, TdxQuote
from hermetic.evidence.pem import certificates_from_pem, pem_from_certificates
from hermetic.verify import INTEL_ROOTS, verify
from hermetic.verify._dcap_pem import exact_chain
from intel_support import bundle_of, endorsed, time_of, with_evidence
from vectors import needs_vectors

pytestmark = [
    needs_vectors,
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),
    pytest.mark.filterwarnings("ignore:Attribute's length"),
]
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RECORDED = {
    "tdx-5": ("tdx/v5-90c06f000000-go-tdx-guest-cf77a6", "collateral-2026-03-09-UpToDate.json"),
    "tdx-4": ("tdx/v4-00806f050000-go-tdx-guest-00b252", "collateral-2025-11-04-UpToDate.json"),
    "sgx-3": ("sgx/v3-00a067110000-dcap-qvl-f8b810", "collateral-2025-07-04-ConfigurationAndSWHardeningN.json"),
}
PARTS = (
    "quote",
    "tcb_info",
    "tcb_info_chain",
    "qe_identity",
    "qe_identity_chain",
    "pck_crl",
    "pck_crl_chain",
    "root_crl",
)


@cache
def genuine(which: str) -> tuple[EvidenceBundle, datetime, bytes]:
    """A bundle that verifies, when, and over what."""
    bundle, at = bundle_of(*RECORDED[which]), time_of(*RECORDED[which])
    return bundle, at, verify(bundle, roots=INTEL_ROOTS, now=at, report_data=None).report_data


STRIDE = 1 if os.environ.get("HERMETIC_ALL_MUTANTS") else 7
"""7 and 8 have no divisor in common: a sample still meets each of a byte's eight bits."""


def part_of(bundle: EvidenceBundle, part: str) -> bytes:
    return bundle.evidence if part == "quote" else bundle.endorsements[part]


def with_part(bundle: EvidenceBundle, part: str, data: bytes) -> EvidenceBundle:
    return with_evidence(bundle, data) if part == "quote" else endorsed(bundle, **{part: data})


def survivors(which: str, part: str, bits: Iterable[int]) -> list[str]:
    """Where a flipped bit went unnoticed.  Anything but the two refusals of a verifier is an error of its own."""
    bundle, at, report_data = genuine(which)
    data, unnoticed = part_of(bundle, part), []
    for bit in bits:
        mutant = bytearray(data)
        mutant[bit // 8] ^= 1 << bit % 8
        try:
            verify(with_part(bundle, part, bytes(mutant)), roots=INTEL_ROOTS, now=at, report_data=report_data)
        except (Malformed, NotAuthentic):
            continue
        unnoticed.append(f"bit {bit % 8} of byte 0x{bit // 8:x}")
    return unnoticed


@pytest.mark.parametrize("which", RECORDED)
def test_bits_of_what_the_quote_signs(which: str) -> None:
    """Header, body, and all of the signature data up to the certificates: unsigned lengths and types among them."""
    evidence = genuine(which)[0].evidence
    assert survivors(which, "quote", range(0, 8 * evidence.index(b"-----BEGIN"), STRIDE)) == []


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("which", RECORDED)
def test_a_bit_of_bytes_of_every_part(which: str, part: str) -> None:
    choose = random.Random(which + part)
    data = part_of(genuine(which)[0], part)
    assert survivors(which, part, [8 * offset + choose.randrange(8) for offset in range(0, len(data), STRIDE)]) == []


@given(st.sampled_from(list(RECORDED)), st.sampled_from(PARTS), st.data())
@settings(deadline=None)
def test_splices_are_refused_and_nothing_else(which: str, part: str, data: st.DataObject) -> None:
    """Longer damage: a span replaced, removed or doubled.  Whatever it is, the answer is a refusal, never a crash."""
    bundle, at, report_data = genuine(which)
    good = part_of(bundle, part)
    start = data.draw(st.integers(min_value=0, max_value=len(good)))
    stop = data.draw(st.integers(min_value=start, max_value=min(len(good), start + 64)))
    spliced = good[:start] + data.draw(st.binary(max_size=64)) + good[stop:]
    if spliced == good:
        return
    with pytest.raises(Refused):
        verify(with_part(bundle, part, spliced), roots=INTEL_ROOTS, now=at, report_data=report_data)


@pytest.mark.parametrize("which", RECORDED)
def test_what_is_left_malleable(which: str) -> None:
    bundle, at, report_data = genuine(which)
    kind: type[TdxQuote] | type[SgxQuote] = TdxQuote if bundle.tee == "tdx" else SgxQuote
    quote = kind.from_bytes(bundle.evidence)
    given = quote.signature
    chain = certificates_from_pem(given.pck_chain)
    twin = given.signature[:32] + (P256_ORDER - int.from_bytes(given.signature[32:], "big")).to_bytes(32, "big")
    others = {
        "a twin signature": replace(given, signature=twin),
        "a NUL or none": replace(given, pck_chain=given.pck_chain.removesuffix(b"\0")),
        "a NUL": replace(given, pck_chain=pem_from_certificates(chain) + b"\0"),
    }
    different = {bundle.evidence}
    for signature in others.values():
        data = replace(quote, signature=signature).to_bytes()
        different.add(data)
        verify(with_evidence(bundle, data), roots=INTEL_ROOTS, now=at, report_data=report_data)
    assert len(different) == 3


@pytest.mark.parametrize("tail", [b"\n", b"\0\0", b"x\n"])
def test_nothing_follows_a_chain(tail: bytes) -> None:
    chain = pem_from_certificates((b"one", b"two"))
    assert exact_chain(chain, "test") == exact_chain(chain + b"\0", "test") == (b"one", b"two")
    for text in (chain + tail, tail + chain):
        with pytest.raises(Malformed, match="one spelling"):
            exact_chain(text, "test")


@pytest.mark.parametrize("tail", [b"\0", b"\n", b"\0" * 64, b"x"])
@pytest.mark.parametrize("which", RECORDED)
def test_nothing_follows_a_quote(which: str, tail: bytes) -> None:
    bundle, at, _ = genuine(which)
    with pytest.raises(Malformed):
        verify(with_evidence(bundle, bundle.evidence + tail), roots=INTEL_ROOTS, now=at, report_data=None)
