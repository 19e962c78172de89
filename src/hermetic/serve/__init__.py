"""Confidential inference: an OpenAI-compatible server that attests, unlocks its model, and forgets.

run        the life of a server            config      server.toml
llama      the engine (llama.cpp)          model       the sealed bundle, opened into memory
app        everything put together         routes      what is served, and what of it in clear
openai     chat, completions, models       parsing → requests → answers → stream: one exchange
receipts   what is owed each answer        issue → batch: signed, then in the log
guard      no fault leaves with its words  observe, metrics: what an operator may see

:mod:`hermetic.serve.run` starts one; everything else can be put together in other ways, another engine included.
"""

from hermetic.serve.config import Limits, ServerConfig, load_config, parse_config
from hermetic.serve.engine import ContextExceeded, Engine, EngineFailed, EngineRefused, Piece, TokenLogprob, Usage

__all__ = [
    "ContextExceeded",
    "Engine",
    "EngineFailed",
    "EngineRefused",
    "Limits",
    "Piece",
    "ServerConfig",
    "TokenLogprob",
    "Usage",
    "load_config",
    "parse_config",
]
