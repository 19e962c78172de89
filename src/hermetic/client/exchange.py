"""One request and its answer through the channel, without I/O: what every transport shares.

asked = Asked.of(...)                      what the caller wants, checked
exchange = StrictExchange(session, asked)  or EhbpExchange
  .method, .headers                        the outer request
  .seal(body) … .seal_end()                its body
  .begin(status, headers)                  the outer answer is sealed; if not, raise .refusal(...)
  .open(bytes) … .open_end()               the answer's body, and that it was all of it
  .head                                    status and header fields, once known
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from hermetic.channel import Session, ehbp, strict
from hermetic.errors import ChannelBroken, HermeticError, Malformed, Misconfigured, NotAcceptable, Unavailable
from hermetic.wire import parse_object

__all__ = [
    "MAX_REFUSAL",
    "Asked",
    "EhbpExchange",
    "Exchange",
    "KeyUnknown",
    "Origin",
    "Profile",
    "StrictExchange",
    "begin_exchange",
    "refusal",
    "refuse_other_place",
]

MAX_REFUSAL = 64 * 1024
"""Bytes of an answer in clear that are worth reading."""

_BUSY = frozenset({408, 425, 429})
_KEY_UNKNOWN_TYPES = frozenset({strict.UNKNOWN_KEY_TYPE, ehbp.KEY_MISMATCH_TYPE})
_OWN_PREFIXES = (b"hermetic-", b"ehbp-")
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})

Pairs = tuple[tuple[bytes, bytes], ...]
Origin = tuple[str, str, int]
"""Scheme, host, port."""


class Profile(StrEnum):
    """How to talk.  EHBP seals bodies only, and proves neither the end of a stream nor a request's freshness."""

    STRICT = "strict"
    EHBP = "ehbp"


class KeyUnknown(ChannelBroken):
    """Somebody says that the server does not have the key.  The transport attests again, and retries if it is true."""

    code = "key_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a caller wants to send: the method, the path and query, the header fields in order."""

    method: str
    target: str
    headers: Pairs = field(repr=False)

    @classmethod
    def of(cls, *, method: str, raw_path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Asked:
        """Raises Misconfigured where the caller sets a field that belongs to the channel."""
        pairs = tuple((name.lower(), value) for name, value in headers)
        for name, _ in pairs:
            if name.startswith(_OWN_PREFIXES):
                raise Misconfigured(f"the header {name.decode('ascii', 'replace')} is the channel's own")
        path, _, query = raw_path.decode("ascii").partition("?")
        return cls(method=method, target=f"{path}?{query}" if query else path, headers=pairs)


def refuse_other_place(*, origin: Origin, asked: Origin, credentials: bool) -> None:
    """One origin, and no credentials in its URL, where logs and proxies would see them.  Raises Misconfigured."""
    if asked != origin:
        scheme, host, port = origin
        raise Misconfigured(f"this transport speaks to {scheme}://{host}:{port} and to nobody else")
    if credentials:
        raise Misconfigured("credentials in a URL are sent in clear; pass them as a header")


class Exchange(Protocol):
    """See the module's text.  ``head`` is None until it is known."""

    method: str
    headers: Pairs
    head: strict.ResponseHead | None

    def seal(self, data: bytes) -> bytes: ...

    def seal_end(self) -> bytes: ...

    def begin(self, status: int, headers: Pairs) -> bool: ...

    def open(self, data: bytes) -> list[bytes]: ...

    def open_end(self) -> None: ...

    @property
    def complete(self) -> bool:
        """Whether the answer's end has been proved."""
        ...


def begin_exchange(profile: Profile, session: Session, asked: Asked, *, now: datetime, shape: int) -> Exchange:
    """Raises Malformed where the request cannot be sealed, NotAcceptable where the server lacks the profile's key."""
    if profile is Profile.EHBP:
        return EhbpExchange(session, asked)
    return StrictExchange(session, asked, now=now, shape=shape)


class StrictExchange:
    """Everything inside; outside only what names the key and the method."""

    def __init__(self, session: Session, asked: Asked, *, now: datetime, shape: int = 0) -> None:
        self._sealer = strict.seal_request(
            session.strict,
            method=asked.method,
            target=asked.target,
            fields=strict.sealable(asked.headers),
            now=now,
            shape=shape,
        )
        self._opener = self._sealer.response_opener()
        self.method = "POST"
        outer = (*self._sealer.outer_fields, ("Accept", strict.CONTENT_TYPE), ("Accept-Encoding", "identity"))
        self.headers = (*_hosts(asked), *((name.encode("ascii"), value.encode("ascii")) for name, value in outer))
        self.head: strict.ResponseHead | None = None

    def seal(self, data: bytes) -> bytes:
        return self._sealer.push(data)

    def seal_end(self) -> bytes:
        return self._sealer.finish()

    def begin(self, status: int, headers: Pairs) -> bool:
        return status == 200 and _values(headers, b"content-type") == [strict.CONTENT_TYPE.encode("ascii")]

    def open(self, data: bytes) -> list[bytes]:
        parts = self._opener.push(data)
        self.head = self.head or _final(self._opener.head)
        return parts

    def open_end(self) -> None:
        self._opener.finish()

    @property
    def complete(self) -> bool:
        return self._opener.ended


class EhbpExchange:
    """Bodies inside; method, path, header fields and status in clear."""

    def __init__(self, session: Session, asked: Asked) -> None:
        if session.ehbp is None:
            raise NotAcceptable("the server's keyset holds no EHBP key", code="keyset_role")
        self._sealer = ehbp.RequestSealer(session.ehbp)
        self._opener: ehbp.ResponseOpener | None = None
        self._empty = True
        self.method = asked.method
        kept = tuple((name, value) for name, value in asked.headers if name not in _FRAMING)
        key = (ehbp.REQUEST_HEADER.encode("ascii"), self._sealer.header.encode("ascii"))
        self.headers = (*kept, key)
        self.head: strict.ResponseHead | None = None

    def seal(self, data: bytes) -> bytes:
        self._empty = self._empty and not data
        return self._sealer.push(data)

    def seal_end(self) -> bytes:
        if self._empty:
            raise Misconfigured(
                "EHBP sends a request without a body, and its answer, in clear", fix="use the strict profile"
            )
        return b""

    def begin(self, status: int, headers: Pairs) -> bool:
        nonces = [value.decode("latin-1") for value in _values(headers, ehbp.RESPONSE_HEADER.lower().encode("ascii"))]
        self._opener = self._sealer.response_opener(status=status, nonces=nonces)
        if self._opener is None:
            return False
        fields = tuple((name.lower(), value) for name, value in headers)
        kept = tuple(
            (name, value) for name, value in fields if name not in _FRAMING and not name.startswith(_OWN_PREFIXES)
        )
        self.head = _final(strict.ResponseHead(status=status, fields=kept))
        return True

    def open(self, data: bytes) -> list[bytes]:
        if self._opener is None:
            raise ChannelBroken("the answer has not begun")
        return self._opener.push(data)

    def open_end(self) -> None:
        if self._opener is None:
            raise ChannelBroken("the answer has not begun")
        self._opener.finish()

    @property
    def complete(self) -> bool:
        return False  # EHBP has no end mark


def refusal(status: int, body: bytes) -> HermeticError:
    """What an answer in clear means.  Nobody vouches for it, so it is never handed on as the server's."""
    kind = _problem_type(body)
    if status == 422 and kind in _KEY_UNKNOWN_TYPES:
        return KeyUnknown("an answer in clear says that the server does not have the key it was asked under")
    if status == 400 and kind == strict.REFUSED_TYPE:
        return ChannelBroken(
            "the server could not open the request",
            code="refused",
            fix="something on the way changes requests, or the address is not where the server believes it is",
        )
    if status >= 500 or status in _BUSY:
        return Unavailable(
            f"something in front of the server answered {status}, in clear", code="unsealed_response", fix="try again"
        )
    return ChannelBroken(f"an answer came in clear (status {status}): it may be anybody's", code="unsealed_response")


def _problem_type(body: bytes) -> str | None:
    try:
        kind = parse_object(body, what="problem", limit=MAX_REFUSAL).get("type")
    except Malformed:
        return None
    return kind if isinstance(kind, str) else None


def _final(head: strict.ResponseHead | None) -> strict.ResponseHead | None:
    """A redirect would have the HTTP client send the request, unsealed in its hands, somewhere else."""
    if head is not None and 300 <= head.status < 400 and _values(head.fields, b"location"):
        raise ChannelBroken(f"the server answered with a redirect ({head.status})", code="redirect")
    return head


def _hosts(asked: Asked) -> Pairs:
    return tuple((name, value) for name, value in asked.headers if name == b"host")


def _values(headers: Pairs, name: bytes) -> list[bytes]:
    return [value for key, value in headers if key.lower() == name]
