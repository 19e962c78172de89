"""Hermetic: confidential AI that can be verified.

``import hermetic`` is instant: everything else is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hermetic.client.openai import AsyncOpenAI, OpenAI

__version__ = "0.1.0"

__all__ = ["AsyncOpenAI", "OpenAI", "__version__"]

_LAZY = {"OpenAI": "hermetic.client.openai", "AsyncOpenAI": "hermetic.client.openai"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
