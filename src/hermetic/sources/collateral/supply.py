"""Where a document comes from, in this order: what came along, a folder of files, the cache, the vendor.

    1   what holds at ``now`` and goes on holding for a while is used, and nobody is asked
    2   otherwise the vendor is asked: once, however many threads and processes want it
    3   what still holds is used where the vendor does not answer
    4   what no longer holds is used only where the caller says so, and the result says so too

Nothing is believed: each candidate is judged by its question, and what passes is for :mod:`hermetic.verify`.  So what a
cache kept may be forged, with dates of the forger's choice: after a day the vendor is asked again, whatever they say,
and a day is as long as one forged answer can stand before the vendor's own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from hermetic.errors import Malformed, Unavailable
from hermetic.sources.collateral.cache import Cache, Entry
from hermetic.sources.collateral.fetch import Fetcher
from hermetic.sources.collateral.flight import Flights
from hermetic.sources.collateral.folder import CollateralFolder
from hermetic.sources.collateral.question import Missing, Parts, Period, Question, Request
from hermetic.sources.collateral.timed import Deadline

__all__ = ["CollateralUnavailable", "Obtained", "Origin", "Supply", "Wanted"]

_JUST_NOW = timedelta(minutes=1)
_A_DAY = timedelta(days=1)
_AT_ONCE = 8


class Origin(StrEnum):
    """Where a document was found."""

    CAME_ALONG = "came along"
    FOLDER = "folder"
    CACHE = "cache"
    VENDOR = "vendor"


class CollateralUnavailable(Unavailable):
    """Not everything could be had.  ``missing`` names each document, its address, and why it is not there."""

    code = "collateral_unavailable"

    def __init__(self, missing: tuple[Missing, ...]) -> None:
        super().__init__(
            f"not at hand: {'; '.join(map(str, missing))}",
            fix="fetch what is missing where the vendors can be reached, and give the folder that holds it",
        )
        self.missing = missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A question, and everything that came along and might answer it already."""

    question: Question
    came: tuple[Parts, ...] = ()

    @classmethod
    def among(cls, question: Question, endorsements: Parts) -> Wanted:
        """What came along under the names of the question's parts."""
        return cls(question=question, came=({name: endorsements.get(name, b"") for name in question.names},))


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """One document: where it was found, and until when it holds.

    ``fetched_at`` is None where nobody noted it.  ``stale``: it does not hold at the time that it was wanted for, so
    verification at that time will refuse it.  ``reason``: why the vendor had nothing better, where it was asked.
    """

    what: str
    url: str
    origin: Origin
    period: Period
    stale: bool
    fetched_at: datetime | None = None
    reason: str = ""
    parts: Parts = field(repr=False)


class Supply:
    """Answers questions.  Safe to share between threads.  ``fetcher`` None: nobody is ever asked (offline)."""

    def __init__(
        self, cache: Cache, fetcher: Fetcher | None, *, folder: CollateralFolder | None, ahead: timedelta
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._folder = folder
        self._ahead = ahead
        self._flights: Flights[tuple[Entry, Origin]] = Flights()
        self._lock = threading.Lock()
        self._failed: dict[str, datetime] = {}

    def at_hand(self, wanted: Wanted, now: datetime) -> Obtained | None:
        """What holds at ``now`` and is here already; nobody is asked."""
        found = _best(self._candidates(wanted, now), now)
        return None if found is None or found.stale else found

    def obtain(
        self, all_wanted: tuple[Wanted, ...], now: datetime, deadline: Deadline, *, allow_stale: bool
    ) -> tuple[Obtained, ...]:
        """Every document, in the order of ``all_wanted``; those that have to be fetched at the same time.

        Raises CollateralUnavailable with all that is missing, or Malformed where a vendor answered something else.
        """
        here = [_best(self._candidates(wanted, now), now) for wanted in all_wanted]
        # 1. Here, and not about to expire.
        settled = [self._settled(wanted.question, found, now) for wanted, found in zip(all_wanted, here, strict=True)]

        def ask(at: int) -> Obtained | Missing:
            try:
                return self._ask(all_wanted[at].question, here[at], now, deadline, allow_stale=allow_stale)
            except Unavailable as error:
                return all_wanted[at].question.missing(error.message)

        asked: dict[int, Obtained | Missing] = {}
        if unsettled := [at for at, found in enumerate(settled) if found is None]:
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="collateral") as threads:
                asked = dict(zip(unsettled, threads.map(ask, unsettled), strict=True))
        results = tuple(found if found is not None else asked[at] for at, found in enumerate(settled))
        if missing := tuple(result for result in results if isinstance(result, Missing)):
            raise CollateralUnavailable(missing)
        return tuple(result for result in results if isinstance(result, Obtained))

    def _ask(
        self, question: Question, here: Obtained | None, now: datetime, deadline: Deadline, *, allow_stale: bool
    ) -> Obtained:
        usable = here if here is not None and (allow_stale or not here.stale) else None
        # 2. From the vendor.
        reason = question.advice or "offline"
        if question.request is not None and self._fetcher is not None:
            try:
                # Where something usable is here, a busy vendor is not worth waiting for.
                insist = here is None or here.stale
                fetched = self._fetch(question, question.request, self._fetcher, now, deadline, insist=insist)
                # A vendor, or who stands before it, may answer with less than we have.
                return fetched if here is None or here.stale else max(here, fetched, key=lambda each: _worth(each, now))
            except (Unavailable, Malformed) as error:
                self._note_failure(question.request, now)
                if usable is None and isinstance(error, Malformed):
                    raise
                reason = error.message
        # 3, 4. What is left.
        if usable is None:
            outdated = f"; what is here holds until {here.period.last:%Y-%m-%d %H:%M} UTC" if here else ""
            raise Unavailable(f"{reason}{outdated}")
        return replace(usable, reason=reason)

    def _candidates(self, wanted: Wanted, now: datetime) -> Iterator[Obtained]:
        question = wanted.question
        for parts in wanted.came:
            if (period := question.judge(parts)) is not None:
                yield _obtained(question, parts, period, Origin.CAME_ALONG, now)
        if self._folder is not None and (answer := self._folder.answer(question, now)) is not None:
            yield _obtained(question, *answer, Origin.FOLDER, now)
        if (kept := self._kept(question, self._load(question), now)) is not None:
            yield kept

    def _load(self, question: Question) -> Entry | None:
        return self._cache.load(question.request) if question.request is not None and question.kept else None

    def _kept(self, question: Question, entry: Entry | None, now: datetime) -> Obtained | None:
        """What the cache has, if it still answers the question."""
        if entry is None:
            return None
        try:
            return _read(question, entry, Origin.CACHE, now)
        except (Malformed, Unavailable):
            return None

    def _settled(self, question: Question, here: Obtained | None, now: datetime) -> Obtained | None:
        """``here`` where asking the vendor is of no use: it holds long enough, or asking was tried just now."""
        if here is None:
            return None
        failed = None if question.request is None or here.stale else self._failed.get(question.request.key)
        holds = here.period.covers(now) and here.period.covers(now + self._ahead) and _within_a_day(here, now)
        return here if holds or _just_now(here.fetched_at, now) or _just_now(failed, now) else None

    def _fetch(
        self, question: Question, request: Request, fetcher: Fetcher, now: datetime, deadline: Deadline, *, insist: bool
    ) -> Obtained:
        def work() -> tuple[Entry, Origin]:
            with self._cache.lock(request, deadline):
                # Somebody else may have fetched it while we waited.
                before = self._load(question)
                kept = self._kept(question, before, now)
                if before is not None and self._settled(question, kept, now) is not None:
                    return before, Origin.CACHE
                entry = Entry(answer=fetcher.fetch(request, deadline, insist=insist), fetched_at=now)
                self._keep(question, request, entry, kept, now)
            return entry, Origin.VENDOR

        # Bytes are shared; what they are worth is for each to say who asks, by his question and for his time.
        while True:
            entry, origin = self._flights.run(request, work, deadline)
            if origin is Origin.VENDOR:
                return _read(question, entry, origin, now)
            if (settled := self._settled(question, self._kept(question, entry, now), now)) is not None:
                return settled

    def _keep(self, question: Question, request: Request, entry: Entry, kept: Obtained | None, now: datetime) -> None:
        """In the cache, where it is an answer at all and not less than what is there."""
        with suppress(Malformed, Unavailable):
            fetched = _read(question, entry, Origin.VENDOR, now)
            if question.kept and (kept is None or _worth(fetched, now) >= _worth(kept, now)):
                self._cache.store(request, entry, fetched.period)

    def _note_failure(self, request: Request, now: datetime) -> None:
        with self._lock:
            if len(self._failed) >= 256:
                self._failed.clear()
            self._failed[request.key] = now


def _obtained(
    question: Question,
    parts: Parts,
    period: Period,
    origin: Origin,
    now: datetime,
    fetched_at: datetime | None = None,
) -> Obtained:
    return Obtained(
        what=question.what,
        url=question.url,
        origin=origin,
        period=period,
        stale=not period.covers(now),
        fetched_at=fetched_at,
        parts=parts,
    )


def _read(question: Question, entry: Entry, origin: Origin, now: datetime) -> Obtained:
    """Raises Malformed on what is no answer, Unavailable on a refusal to answer."""
    parts, period = question.read(entry.answer)
    return _obtained(question, parts, period, origin, now, entry.fetched_at)


def _best(candidates: Iterator[Obtained], now: datetime) -> Obtained | None:
    """The first that is worth most."""
    return max(candidates, key=lambda found: _worth(found, now), default=None)


def _worth(found: Obtained, now: datetime) -> tuple[bool, bool, datetime]:
    """What holds comes first, then what was not kept for long, then what holds longest by its own word."""
    return not found.stale, _within_a_day(found, now), found.period.last


def _within_a_day(found: Obtained, now: datetime) -> bool:
    """Whether what was fetched was so lately; what somebody brought is as good as on its first day."""
    return found.fetched_at is None or abs(now - found.fetched_at) <= _A_DAY


def _just_now(then: datetime | None, now: datetime) -> bool:
    return then is not None and timedelta(0) <= now - then < _JUST_NOW
