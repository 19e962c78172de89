"""Between genuine items: one in the place of another, stretches of one in another, other platforms and times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import combinations

from proof.mutants._change import Changes
from proof.mutants._validity import window
from proof.specimens import ASKED, AT, Parts, Specimen, all_specimens, kind_of, timed

_STRETCH = 48
_SECOND, _YEAR = timedelta(seconds=1), timedelta(days=365)


@cache
def _items() -> tuple[tuple[str, str, bytes], ...]:
    """Every distinct genuine item of every vendor: where it is from, as what, and its bytes."""
    found: dict[bytes, tuple[str, str]] = {}
    for each in all_specimens():
        for part, data in each.parts.items():
            found.setdefault(data, (each.name, part))
    return tuple((name, part, data) for data, (name, part) in found.items())


def is_genuine(data: bytes) -> bool:
    """Whether it is one of those."""
    return any(data == item for _, _, item in _items())


def items(each: Specimen, part: str) -> Changes:
    """Another genuine item in the place of this one: of the same kind or of any other, of this vendor or another."""
    if part == AT:
        return
    for name, other, data in _items():
        if data != each.parts[part] and other != AT:
            yield f"{other} of {name}", partial(each.with_part, part, data)


def exchanged(each: Specimen, part: str) -> Changes:
    """Two parts of the same specimen in each other's place."""
    for other in sorted(each.parts):
        if other > part and AT not in (part, other) and ASKED not in (part, other):
            changed = {**each.parts, part: each.parts[other], other: each.parts[part]}
            changed.pop(ASKED, None)
            yield f"{part} for {other}", partial(dict, changed)


def fields(each: Specimen, part: str) -> Changes:
    """A stretch of another genuine item of the same kind, at its own place in this one."""
    if part == AT:
        return
    own, seen = each.parts[part], {each.parts[part]}
    for other in _fellows(each):
        for theirs in (data for name, data in other.parts.items() if kind_of(name) == kind_of(part)):
            if theirs in seen:
                continue
            seen.add(theirs)
            for start in range(0, min(len(own), len(theirs)), _STRETCH):
                stretch = theirs[start : start + _STRETCH]
                if own[start : start + _STRETCH] != stretch:
                    changed = own[:start] + stretch + own[start + _STRETCH :]
                    where = f"bytes 0x{start:x} to 0x{start + _STRETCH:x} of {other.name}"
                    yield where, partial(each.with_part, part, changed)


def mixtures(each: Specimen, part: str) -> Changes:
    """Some of the endorsements of another platform or date, at the time of either."""
    if part != AT:
        return
    for other in _fellows(each):
        groups = _groups(each, other)
        for count in range(1, len(groups) + 1):
            for chosen in combinations(groups, count):
                taken = {name: other.parts[name] for group in chosen for name in group if name in other.parts}
                for at in {each.parts[AT], other.parts[AT]}:
                    changed = {**each.parts, **taken, AT: at}
                    if changed != each.parts:
                        words = "+".join(group[0] for group in chosen)
                        yield f"{words} of {other.name} at {at.decode()[:10]}", partial(_unasked, changed)


def times(each: Specimen, part: str) -> Changes:
    """Every moment at which something in it begins or ends, a second before and after; and everybody else's time."""
    if part != AT:
        return
    first, last = window(each.parts)
    moments = {first, first - _SECOND, first - _YEAR}
    if last.year < 9999:
        moments |= {last, last + _SECOND, last + _YEAR}
    moments |= {datetime.fromisoformat(other.parts[AT].decode()) for other in all_specimens()}
    for moment in sorted(moments):
        if timed(moment) != each.parts[AT]:
            yield f"at {moment.isoformat()}", partial(each.with_part, AT, timed(moment))


def _fellows(each: Specimen) -> Iterator[Specimen]:
    """The other specimens that are verified by the same verifier over parts of the same kinds."""
    for other in all_specimens():
        if other is not each and other.tee == each.tee and other.evidence == each.evidence:
            yield other


def _groups(each: Specimen, other: Specimen) -> Sequence[tuple[str, ...]]:
    """Endorsements that belong together: a document with its signer's chain; a device's whole chain; its manifests."""
    names = sorted((set(each.parts) | set(other.parts)) - {each.evidence, ASKED, AT})
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(kind_of(name).removesuffix("_chain"), []).append(name)
    return [tuple(group) for group in groups.values()]


def _unasked(parts: Parts) -> Parts:
    return {name: data for name, data in parts.items() if name != ASKED}
