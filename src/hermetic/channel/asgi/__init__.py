"""The channel as ASGI middleware, for any ASGI server and any ASGI application."""

from hermetic.channel.asgi._middleware import DEFAULT_MAX_BODY, SealedChannel

__all__ = ["DEFAULT_MAX_BODY", "SealedChannel"]
