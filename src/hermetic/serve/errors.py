"""Refusals in OpenAI's shape: ``{"error": {"message", "type", "param", "code"}}``.

A message names parameters and limits; it never repeats a value from the request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from hermetic.errors import HermeticError
from hermetic.serve.engine import ContextExceeded, EngineRefused

__all__ = ["ApiError"]


class ApiError(HermeticError):
    """An answer that is an error.  ``status`` is HTTP's; the rest is OpenAI's."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.kind = kind
        self.param = param
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        return msgspec.json.encode(self.to_json())

    @classmethod
    def invalid(cls, param: str | None, message: str, *, code: str = "invalid_value") -> ApiError:
        return cls(400, message, code=code, param=param)

    @classmethod
    def unsupported(cls, param: str) -> ApiError:
        return cls(400, f"{param} is not supported here", code="unsupported_parameter", param=param)

    @classmethod
    def unknown(cls, param: str) -> ApiError:
        return cls(400, f"unknown parameter: {param}", code="unknown_parameter", param=param)

    @classmethod
    def unauthorized(cls) -> ApiError:
        return cls(
            401,
            "no valid API key was given; send it as 'Authorization: Bearer <key>'",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )

    @classmethod
    def model_not_found(cls, served: str) -> ApiError:
        return cls(404, f"this server serves only the model '{served}'", code="model_not_found", param="model")

    @classmethod
    def not_found(cls) -> ApiError:
        return cls(404, "there is nothing here", code="not_found")

    @classmethod
    def method_not_allowed(cls, allowed: str) -> ApiError:
        return cls(405, "this method is not allowed here", code="method_not_allowed", headers={"Allow": allowed})

    @classmethod
    def too_large(cls, limit: int) -> ApiError:
        return cls(413, f"the request body is larger than {limit} bytes", code="request_too_large")

    @classmethod
    def too_slow(cls, seconds: float) -> ApiError:
        # Closed, because what is still to come of the request would be read as the next one.
        headers = {"Connection": "close"}
        return cls(408, f"the request did not arrive within {seconds:g} s", code="request_too_slow", headers=headers)

    @classmethod
    def busy(cls, *, retry_after: float) -> ApiError:
        return cls(
            429,
            "all slots are busy and the queue is full; try again",
            kind="rate_limit_error",
            code="server_busy",
            headers={"Retry-After": str(math.ceil(retry_after))},
        )

    @classmethod
    def timed_out(cls, seconds: float) -> ApiError:
        return cls(503, f"the answer took longer than {seconds:g} s", kind="server_error", code="timeout")

    @classmethod
    def stopping(cls) -> ApiError:
        return cls(503, "the server is stopping", kind="server_error", code="stopping", headers={"Retry-After": "5"})

    @classmethod
    def internal(cls) -> ApiError:
        return cls(500, "the server failed", kind="server_error", code="internal_error")

    @classmethod
    def of(cls, error: Exception) -> ApiError:
        """Whatever was raised, as an answer that says nothing more than its kind."""
        if isinstance(error, ApiError):
            return error
        if isinstance(error, ContextExceeded):
            return cls(400, error.message, code=error.code, param="messages")
        if isinstance(error, EngineRefused):
            return cls(
                400,
                "the engine cannot carry out this request; a response_format it does not support is the usual reason",
                code="unsupported_request",
                param="response_format",
            )
        return cls.internal()
