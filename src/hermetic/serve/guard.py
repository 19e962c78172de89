"""A wall around the routes: whatever goes wrong becomes an answer in OpenAI's shape, and is told by its kind only.

A traceback or an exception's text may hold a prompt, so neither is logged and neither reaches the web server.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hermetic.serve.asgi import ClientGone, respond_error
from hermetic.serve.errors import ApiError
from hermetic.serve.observe import observation

__all__ = ["AnswerCut", "Guard", "Wall"]


class AnswerCut(Exception):
    """An answer had begun and cannot be finished.  Says nothing more, and keeps the layers above from finishing it."""


class Guard:
    """Runs the routes and answers for them when they fail.  Raises AnswerCut where it is too late for an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen = observation(scope)
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                seen.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except ClientGone:
            seen.fault = "client_gone"
        except Exception as error:
            answer = _answer(error)
            seen.fault = answer.code if answer.status < 500 else type(error).__name__
            if started:
                raise AnswerCut from None
            await respond_error(noting, answer)
        finally:
            if "route" in scope:
                seen.route = scope["route"].path


class Wall:
    """The outermost layer of all: nothing that is raised gets past it to the web server, which would print it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except AnswerCut:
            pass
        except Exception as error:
            observation(scope).fault = type(error).__name__


def _answer(error: Exception) -> ApiError:
    if isinstance(error, HTTPException):
        if error.status_code == 405:
            return ApiError.method_not_allowed((error.headers or {}).get("Allow", ""))
        return ApiError.not_found()
    return ApiError.of(error)
