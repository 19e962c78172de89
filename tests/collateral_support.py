"""Small questions for tests of the supply: a document is a line "first last words", in whole days."""

from __future__ import annotations

import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import pytest

from collateral_vendor import Reply, Vendor
from hermetic.errors import Malformed
from hermetic.sources.collateral import Endorser, Patience, Period
from hermetic.sources.collateral.question import Answer, Kind, Question, Request
from hermetic.sources.collateral.supply import Wanted

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a folder to somebody else"
)
PATIENCE = Patience(total=20, silence=10, attempts=2, first_pause=0)
DAY = timedelta(days=1)


def day(number: int, seconds: int = 0) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + number * DAY + timedelta(seconds=seconds)


def document(first: int, last: int, words: str = "") -> bytes:
    return f"{first} {last} {words}".encode()


def question(vendor: str, path: str = "/document", *, kept: bool = True) -> Question:
    return Question(
        what="a document",
        names={"part": Kind.RIM},
        request=Request(url=f"{vendor}{path}", largest=200, headers=("chain",)),
        parts=lambda answer: {"part": answer.content},
        periods={"part": _period},
        kept=kept,
    )


def unaskable(advice: str) -> Question:
    return Question(
        what="a document that nobody serves",
        names={"part": Kind.RIM},
        request=None,
        parts=lambda answer: {"part": answer.content},
        periods={"part": _period},
        advice=advice,
    )


def wanted(asked: Question, *came: bytes) -> Wanted:
    return Wanted(question=asked, came=tuple({"part": part} for part in came))


def publish(vendor: Vendor, first: int, last: int, words: str = "the vendor's") -> None:
    vendor.published["/document"] = Reply(body=document(first, last, words))


def endorser(
    vendor: Vendor, cache: Path | None = None, *, folder: Path | None = None, offline: bool = False
) -> Endorser:
    return Endorser(cache, services=vendor.services, patience=PATIENCE, folder=folder, offline=offline)


def answer(content: bytes, **headers: str) -> Answer:
    return Answer(content=content, headers=headers)


def anybody_is_in(function: str) -> bool:
    """Whether some thread is in, or beneath, a function of that name: it has come as far as that, and waits there."""
    return any(_beneath(frame, function) for frame in sys._current_frames().values())


def _beneath(frame: FrameType | None, function: str) -> bool:
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def _period(part: bytes) -> Period:
    stated = re.fullmatch(rb"(-?[0-9]{1,3}) (-?[0-9]{1,3}) .*", part)
    if stated is None:
        raise Malformed("no document")
    return Period(first=day(int(stated[1])), last=day(int(stated[2])))
