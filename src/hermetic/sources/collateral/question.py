"""What is asked of whom, what an answer has to look like, and from when to when it holds.

The same question judges whatever could answer it: what a vendor sent, what a cache kept, what somebody downloaded by
hand, what came along with the evidence.  It judges plausibility only.  Nothing that passes is believed;
:mod:`hermetic.verify` does that, or refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from hermetic.errors import Malformed
from hermetic.wire import sha256, transcript

__all__ = ["Answer", "Kind", "Missing", "Parts", "Period", "Question", "Request"]

Parts = Mapping[str, bytes]
"""What answers a question, by the names that the question gives its parts."""


class Kind(Enum):
    """What sort of bytes a part is: enough to find candidates among files, whatever they are called."""

    CERTIFICATE = auto()
    """One certificate, DER."""
    CHAIN = auto()
    """A signer and its root, PEM."""
    CRL = auto()
    """A revocation list, DER."""
    INTEL_JSON = auto()
    """A document of Intel's with its signature, byte for byte."""
    RIM = auto()
    """A reference integrity manifest, XML."""
    OCSP = auto()
    """An OCSP answer, DER."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From ``first`` until before ``last``, by the document's own word."""

    first: datetime
    last: datetime

    def covers(self, now: datetime) -> bool:
        return self.first <= now < self.last

    @classmethod
    def overlap(cls, *periods: Period) -> Period:
        """When all of them hold."""
        return cls(first=max(each.first for each in periods), last=min(each.last for each in periods))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request: a GET, or a POST where there is a ``body``.

    ``largest`` is in bytes; ``headers`` are those of the answer that belong to it, in lower case.
    """

    url: str
    largest: int
    body: bytes | None = field(default=None, repr=False)
    media_type: str = ""
    headers: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """64 hex digits that name the request, and so what answers it."""
        return sha256(transcript("hermetic.collateral.v1", self.url.encode(), self.body or b"")).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The bytes that came, exactly, and the headers that the request named."""

    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One document, or one with its signer's chain.

    ``what`` names it for a person, ``names`` its parts and their sorts.  ``parts`` takes an answer apart, ``periods``
    judge each part by itself; both raise Malformed for what cannot be right, and ``parts`` Unavailable for a refusal to
    answer.
    ``request`` is None where no service has it; ``advice`` then says where it comes from.  ``kept`` is whether a cache
    may answer it.
    """

    what: str
    names: Mapping[str, Kind]
    request: Request | None
    parts: Callable[[Answer], Parts]
    periods: Mapping[str, Callable[[bytes], Period]]
    advice: str = ""
    kept: bool = True

    def read(self, answer: Answer) -> tuple[Parts, Period]:
        """Raises Malformed, naming the address, on what cannot be an answer."""
        try:
            parts = self.parts(answer)
            return parts, self.period(parts)
        except Malformed as error:
            raise Malformed(f"{self.url} answered with something else than {self.what}: {error.message}") from error

    def period(self, parts: Parts) -> Period:
        """When all of ``parts`` hold.  Raises Malformed where one of them cannot be right."""
        return Period.overlap(*(self.periods[name](parts[name]) for name in self.names))

    def judge(self, parts: Parts) -> Period | None:
        """When ``parts`` hold; None where they do not answer this question."""
        try:
            return self.period(parts)
        except Malformed:
            return None

    def judge_part(self, name: str, part: bytes) -> Period | None:
        """When it holds; None where it cannot be the part of that name."""
        try:
            return self.periods[name](part)
        except Malformed:
            return None

    @property
    def url(self) -> str:
        return self.request.url if self.request else ""

    def missing(self, reason: str) -> Missing:
        return Missing(what=self.what, names=tuple(self.names), url=self.url, reason=reason or self.advice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What is not at hand, why, and where it is to be had; ``url`` is empty where no service has it."""

    what: str
    names: tuple[str, ...]
    url: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what} ({', '.join(filter(None, (self.url, self.reason)))})"
