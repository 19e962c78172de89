"""Answers of the channel's own: problem documents in clear, and errors in OpenAI's shape."""

from __future__ import annotations

from dataclasses import dataclass, field

from hermetic.channel.asgi._types import Headers, Send
from hermetic.wire import canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response."""

    status: int
    content_type: str
    body: bytes = field(repr=False)

    @property
    def headers(self) -> Headers:
        return (
            (b"content-type", self.content_type.encode("ascii")),
            (b"content-length", str(len(self.body)).encode("ascii")),
            (b"cache-control", b"no-store"),
        )

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def problem(status: int, kind: str, title: str) -> Answer:
    """A problem document (RFC 9457)."""
    body = canonical({"type": kind, "title": title})
    return Answer(status=status, content_type="application/problem+json", body=body)


def openai_error(status: int, code: str, message: str) -> Answer:
    """An error as OpenAI's SDKs read it."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body = canonical({"error": {"message": message, "type": kind, "param": None, "code": code}})
    return Answer(status=status, content_type="application/json", body=body)


FAILED = openai_error(500, "internal_error", "The server failed while handling the request.")
