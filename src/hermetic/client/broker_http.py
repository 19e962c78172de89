"""Questions to a broker over HTTP: bounded answers, no proxies, no redirects.  Believes nothing."""

from __future__ import annotations

from typing import Any

import httpx2

from hermetic.errors import Malformed, Misconfigured, NotReleased, Refused, Unavailable
from hermetic.wire import parse_object

__all__ = ["BrokerHttp"]

_LARGEST_ANSWER = 4 * 1024 * 1024


class BrokerHttp:
    """One broker's address.  Blocking; from any thread.  ``timeout`` in seconds."""

    def __init__(self, url: str, *, timeout: float) -> None:
        """Raises Misconfigured where ``url`` is no http or https address."""
        if not url.startswith(("http://", "https://")):
            raise Misconfigured(f"{url}: a broker's address begins with http:// or https://", code="broker_url")
        self._url = url.rstrip("/")
        # What was measured decides where requests go: no proxy out of the environment, and no redirects.
        self._http = httpx2.Client(timeout=timeout, trust_env=False, follow_redirects=False)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object there.  Raises what the broker's error says, Malformed, or Unavailable."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes = b"") -> dict[str, Any]:
        """The JSON object in the answer.  Raises like :meth:`get`."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        answer = bytearray()
        try:
            with self._http.stream(method, self._url + path, content=body) as response:
                for chunk in response.iter_bytes():
                    answer += chunk
                    if len(answer) > _LARGEST_ANSWER:
                        raise Malformed(f"{self._url} answered with more than {_LARGEST_ANSWER} bytes")
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"the broker at {self._url} does not answer ({type(error).__name__})",
                code="broker_unreachable",
                fix="is it running?  hermetic broker serve --config broker.toml",
            ) from error
        if response.status_code != 200:
            raise _refusal(response.status_code, bytes(answer))
        return parse_object(bytes(answer), what="the broker's answer", limit=_LARGEST_ANSWER)


def _refusal(status: int, answer: bytes) -> Refused | Unavailable:
    """What an error answer says.  Nobody signed it: whoever stands between can say no, and nothing else."""
    try:
        error = parse_object(answer, what="error").get("error")
    except Malformed:
        error = None
    fields = error if isinstance(error, dict) else {}
    code, message = (str(fields.get(name, ""))[:200] for name in ("code", "message"))
    said = f"the broker answered {status}" + (f": {message}" if message and message.isprintable() else "")
    if status == 403:
        fix = "the owner sees why: hermetic broker releases --config broker.toml"
        return NotReleased(said, code=code or None, fix=fix)
    return Malformed(said) if status == 400 else Unavailable(said, code=code or None)
