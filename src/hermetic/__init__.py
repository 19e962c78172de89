"""Hermetic: confidential AI that can be verified.

``import hermetic`` is instant: everything else is imported when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs more to import than all of this
if TYPE_CHECKING:
    from hermetic.client.openai import AsyncOpenAI, OpenAI

__version__ = "0.1.0"

__all__ = ["AsyncOpenAI", "OpenAI", "__version__"]

_LAZY = {"OpenAI": "hermetic.client.openai", "AsyncOpenAI": "hermetic.client.openai"}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
