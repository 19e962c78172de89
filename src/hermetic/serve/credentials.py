"""API keys, known only by their digests, and the principals they stand for.

A key is a random token, so one SHA-256 is enough: there is nothing to guess.  Keys are read inside the channel, from
the headers that were encrypted with the request.
"""

from __future__ import annotations

import hmac
from typing import NewType

from hermetic.errors import Misconfigured
from hermetic.serve.errors import ApiError
from hermetic.wire import is_digest, sha256_digest

__all__ = ["ApiKeys", "Principal"]

Principal = NewType("Principal", str)
"""Whose request it is: owns its receipts.  Opaque, kept in memory, never logged."""

_LIMIT = 4096  # characters of a header


class ApiKeys:
    """The keys that may use this server.

    With ``open_to_all`` any bearer token will do, or none; a token then still decides whose a receipt is.
    """

    def __init__(self, digests: tuple[str, ...], *, open_to_all: bool = False) -> None:
        """``digests`` are ``sha256:`` over each key's text.  Raises Misconfigured when nobody or anybody is meant."""
        if not all(is_digest(digest) for digest in digests):
            raise Misconfigured("an API key's digest is not sha256: and 64 lowercase hex digits")
        if not digests and not open_to_all:
            raise Misconfigured("no API key is configured", fix="list their digests, or say open = true")
        if digests and open_to_all:
            raise Misconfigured("API keys are configured, and open = true makes them useless", fix="choose one")
        self._digests = digests
        self._open = open_to_all

    def principal(self, authorization: str | None) -> Principal | None:
        """Who sent this ``Authorization`` header.  None only where the server is open and no token was sent.

        Raises ApiError 401 on a wrong or missing key.
        """
        token = _bearer(authorization)
        if token is None:
            if self._open:
                return None
            raise ApiError.unauthorized()
        digest = sha256_digest(token.encode("utf-8"))
        # Every digest is compared, whichever matches, in constant time.
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not self._open and not any(matches):
            raise ApiError.unauthorized()
        return Principal(digest)

    def owner(self, authorization: str | None) -> Principal:
        """Like :meth:`principal`, for what belongs to somebody: there is no owner without a token."""
        principal = self.principal(authorization)
        if principal is None:
            raise ApiError.unauthorized()
        return principal


def _bearer(authorization: str | None) -> str | None:
    if authorization is None or len(authorization) > _LIMIT:
        return None
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
