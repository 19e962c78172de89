"""Every kind of mutant, and how densely each part of a specimen is changed.

What a device signed is changed in every single bit: reports, quotes up to their certificates, questions.  So is every
part of the first SNP and the first TDX specimen.  Other parts are changed in one bit of seven, manifests (twenty
kilobytes each, alike but for their values) in one of sixty-one, but one of them and a whole attestation report in one
of three.  None of these has a divisor in common with eight, so each place of a byte is met.  What several specimens
share is changed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import islice
from types import MappingProxyType

from hermetic.evidence import SEV_SNP, TDX
from proof.mutants import bytes_, der, json_text, pem, swaps, twins, xml
from proof.mutants._change import Changes
from proof.specimens import ASKED, AT, Specimen, all_specimens, kind_of

_EVERY, _MANY, _SOME, _FEW = 1, 3, 7, 61


def _bits(each: Specimen, part: str) -> Changes:
    certificates = each.parts[part].find(b"-----BEGIN") if part == "quote" else -1
    if certificates < 0 or each.name in _dense():
        yield from bytes_.bits(each, part, density(each, part))
    else:
        yield from bytes_.bits(each, part, _EVERY, stop=certificates)
        yield from bytes_.bits(each, part, _SOME, start=certificates)


def _truncations(each: Specimen, part: str) -> Changes:
    step = _EVERY if len(each.parts[part]) < 8192 else _FEW
    return islice(bytes_.truncations(each, part), 0, None, step)


def _fields(each: Specimen, part: str) -> Changes:
    return islice(swaps.fields(each, part), 0, None, density(each, part))


KINDS: Mapping[str, Callable[[Specimen, str], Changes]] = MappingProxyType(
    {
        "bit": _bits,
        "truncation": _truncations,
        "addition": bytes_.additions,
        "removal": bytes_.removals,
        "exchange": swaps.exchanged,
        "item": swaps.items,
        "field": _fields,
        "mixture": swaps.mixtures,
        "time": swaps.times,
        "twin": twins.changes,
        "der": der.changes,
        "pem": pem.changes,
        "json": json_text.changes,
        "xml": xml.changes,
    }
)
"""Kind → what makes it."""

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "bit": "one bit flipped",
        "truncation": "every shorter length",
        "addition": "bytes too many",
        "removal": "a part left out",
        "exchange": "two parts in each other's place",
        "item": "another genuine item in its place",
        "field": "a stretch of another genuine item",
        "mixture": "endorsements of another platform and date",
        "time": "another time",
        "twin": "the second ECDSA signature",
        "der": "DER",
        "pem": "PEM",
        "json": "JSON",
        "xml": "XML and signature wrapping",
    }
)
"""Kind → in words."""

_ALIKE = ("bit", "truncation", "addition", "field", "der", "pem", "json", "xml", "twin")
"""Kinds for which an item that another specimen has too gives nothing new."""


def applies(kind: str, each: Specimen, part: str) -> bool:
    """Whether mutants of ``kind`` are made of this part of this specimen."""
    if part == AT and kind not in ("mixture", "time"):
        return False
    if part != AT and kind in ("mixture", "time"):
        return False
    return kind not in _ALIKE or _first_with()[each.tee, each.parts[part]] == (each.name, part)


def density(each: Specimen, part: str) -> int:
    """Of how many bits one is flipped, and of how many stretches one is taken from another item."""
    if each.evidence in ("rim", "document"):
        return _MANY if part == "document" or each.name in _dense() else _FEW
    if part in (each.evidence, ASKED) or each.name in _dense():
        return _EVERY
    return _FEW if kind_of(part) == "rim" else _SOME


@cache
def _dense() -> frozenset[str]:
    """The first recorded SNP and TDX specimens, and the first manifest."""
    first: dict[tuple[str, str], str] = {}
    for each in all_specimens():
        if each.recorded and (each.tee in (SEV_SNP, TDX) or each.evidence == "rim"):
            first.setdefault((each.tee, each.evidence), each.name)
    return frozenset(first.values())


@cache
def _first_with() -> dict[tuple[str, bytes], tuple[str, str]]:
    """By TEE and content: the specimen and part where it is changed."""
    found: dict[tuple[str, bytes], tuple[str, str]] = {}
    for each in sorted(all_specimens(), key=lambda each: each.name not in _dense()):
        for part, data in each.parts.items():
            found.setdefault((each.tee, data), (each.name, part))
    return found
