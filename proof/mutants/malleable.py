"""The written malleability list: what may differ in bytes and still be accepted, with the reason of each.

Because of this list a hash of evidence is no identity: nothing in Hermetic names evidence by its hash for replay
protection.  An accepted mutant that no entry explains fails the campaign, whatever it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hermetic.errors import HermeticError
from hermetic.verify import Outcome
from proof.mutants import _reading as reading
from proof.mutants._validity import holds
from proof.mutants.swaps import is_genuine
from proof.specimens import ASKED, AT, Parts, Specimen, kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A mutant that was accepted: what it means (``said``), beside what the specimen means."""

    specimen: Specimen
    kind: str
    part: str
    parts: Parts
    said: Any
    meaning: Any

    @property
    def same(self) -> bool:
        return bool(self.said == self.meaning)

    def differing(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Name, old and new of each part that is in both and differs, but for the time."""
        for name, data in self.parts.items():
            old = self.specimen.parts.get(name, data)
            if old != data and name != AT:
                yield name, old, data

    def missing(self) -> set[str]:
        return self.specimen.parts.keys() - self.parts.keys() - {ASKED}

    def additional(self) -> set[str]:
        return self.parts.keys() - self.specimen.parts.keys()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the list.  ``covers`` decides by means of its own whether a mutant is of this kind."""

    name: str
    reason: str
    covers: Callable[[Accepted], bool]


def _twin(mutant: Accepted) -> bool:
    return mutant.kind == "twin" and mutant.same


def _another_answer(mutant: Accepted) -> bool:
    """Only while nobody asks: with the question of the specimen the same evidence has to be refused."""
    changed = list(mutant.differing())
    evidence = mutant.specimen.evidence
    if [name for name, _, _ in changed] != [evidence] or not is_genuine(mutant.parts[evidence]):
        return False
    try:
        mutant.specimen.judge({**mutant.parts, ASKED: mutant.specimen.parts[ASKED]})
    except HermeticError:
        return True
    return False


def _time(mutant: Accepted) -> bool:
    return mutant.same and not list(mutant.differing()) and not mutant.missing() and holds(mutant.parts)


def _endorsement(mutant: Accepted) -> bool:
    changed = [(name, old, new) for name, old, new in mutant.differing() if name != ASKED]
    return (
        bool(changed)
        and not mutant.missing()
        and holds(mutant.parts)
        and all(is_genuine(new) and reading.about(old) == reading.about(new) is not None for _, old, new in changed)
    )


def _spelled(read: Callable[[bytes], object]) -> Callable[[Accepted], bool]:
    """Where ``read`` finds the same in every part that differs."""

    def covers(mutant: Accepted) -> bool:
        changed = list(mutant.differing())
        return (
            mutant.same
            and bool(changed)
            and all((before := read(old)) is not None and before == read(new) for _, old, new in changed)
        )

    return covers


def _fewer_events(mutant: Accepted) -> bool:
    """The same registers, and of the claims that a log makes the same or fewer: none that is another."""
    changed = list(mutant.differing())
    logs = bool(changed) and all(
        kind_of(name) == "log" and (before := reading.registers(old)) is not None and before == reading.registers(new)
        for name, old, new in changed
    )
    if not logs or mutant.missing():
        return False
    (*said, events, checks), (*meant, all_events, all_checks) = mutant.said, mutant.meaning
    return (said, checks) == (meant, all_checks) and events.items() <= all_events.items()


def _not_performed(mutant: Accepted) -> bool:
    """Something is missing, nothing else differs, and the verifier says aloud what it could not check."""
    checks: dict[str, Outcome] = dict(mutant.said[-1])
    return (
        bool(mutant.missing())
        and not list(mutant.differing())
        and holds(mutant.parts)
        and Outcome.NOT_PERFORMED in checks.values()
    )


def _order(mutant: Accepted) -> bool:
    changed = [name for name, _, _ in mutant.differing()]
    before, after = (sorted(parts[name] for name in changed) for parts in (mutant.specimen.parts, mutant.parts))
    return mutant.same and not mutant.missing() and before == after and {kind_of(name) for name in changed} == {"ocsp"}


def _more(mutant: Accepted) -> bool:
    """Genuine, and either without effect or holding at the caller's time."""
    changed, added = [name for name, _, _ in mutant.differing()], mutant.additional()
    if not added or mutant.missing() or mutant.specimen.evidence in changed:
        return False
    own = {name: data for name, data in mutant.parts.items() if name not in added}
    genuine = all(is_genuine(mutant.parts[name]) for name in (*changed, *added))
    return genuine and holds(own if mutant.same else mutant.parts)


def _root_twice(mutant: Accepted) -> bool:
    changed = list(mutant.differing())
    return (
        bool(changed)
        and not mutant.missing()
        and all((before := reading.xml(old)) is not None and before == reading.xml_once(new) for _, old, new in changed)
    )


MALLEABLE: tuple[Entry, ...] = (
    Entry(
        name="second ECDSA signature",
        reason="where (r, s) verifies, so does (r, n − s): a second signature, never a second statement",
        covers=_twin,
    ),
    Entry(
        name="another genuine answer",
        reason="whole evidence that the same key signed over another question; the caller's own question refuses it",
        covers=_another_answer,
    ),
    Entry(
        name="another time",
        reason="everything in the specimen still holds at that time",
        covers=_time,
    ),
    Entry(
        name="another endorsement",
        reason="another genuine list, document or certificate of the same authority about the same thing that holds at "
        "the caller's time: a newer one, or an older one that has not ended",
        covers=_endorsement,
    ),
    Entry(
        name="spelling of PEM",
        reason="the same certificates in lines of 64 or 76 characters, and a NUL or a line break behind them or not, "
        "as recorded quotes have them",
        covers=_spelled(reading.pem),
    ),
    Entry(
        name="spelling of XML",
        reason="the canonical form, which is what was signed, is the same; so are signature and certificates",
        covers=_spelled(reading.xml),
    ),
    Entry(
        name="spelling of JSON",
        reason="an attestation report is read as values; evidence signs the canonical form of what it binds",
        covers=_spelled(reading.json_value),
    ),
    Entry(
        name="not performed",
        reason="what the caller said it can do without is missing: recorded as not performed, which no policy accepts",
        covers=_not_performed,
    ),
    Entry(
        name="words of a log",
        reason="an event says more than its digest is over, and the area of a log has an unused end: registers are the "
        "same, and what a digest no longer agrees with stops being a claim; it never becomes another",
        covers=_fewer_events,
    ),
    Entry(
        name="order of answers",
        reason="answers about revocation come in any order: each names the certificate that it is about",
        covers=_order,
    ),
    Entry(
        name="one endorsement more",
        reason="a genuine one, for this very device, is compared; one that nothing in the evidence names is not read",
        covers=_more,
    ),
    Entry(
        name="the root twice",
        reason="a manifest's certificates are not under its signature; the pinned root may issue itself, which adds a "
        "certificate to ask about and nobody to trust",
        covers=_root_twice,
    ),
)


def explain(mutant: Accepted) -> str | None:
    """The entry that covers an accepted mutant, or None."""
    return next((entry.name for entry in MALLEABLE if entry.covers(mutant)), None)


def as_rows() -> list[tuple[str, str]]:
    """Name and reason of each entry, for a page."""
    return [(entry.name, entry.reason) for entry in MALLEABLE]


__all__ = ["MALLEABLE", "Accepted", "Entry", "as_rows", "explain"]
