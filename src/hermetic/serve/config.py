"""``server.toml``, read once at the entry point into one frozen value and passed down.

    service = "clinic-chat"                # what clients know this workload as; measured

    [listen]
    host = "127.0.0.1"
    port = 8000

    [model]
    name            = "smollm2-135m"       # what clients ask for
    bundle          = "model"              # the sealed bundle's folder, relative to this file
    resource        = "broker/demo/smollm2"
    version         = "1"
    manifest_digest = "sha256:…"

    [broker]
    url     = "http://127.0.0.1:8443"
    key     = "ed25519:…"                  # its identity; nothing is taken from anybody else
    log_key = "…"                          # its log's C2SP verifier key

    [api_keys]
    digests = ["sha256:…"]                 # SHA-256 of each key; or open = true

    [limits]                               # see Limits
    [engine]                               # see EngineConfig

Unknown fields refuse.  The digest of the file's exact bytes is in the launch document, so every field is measured.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from hermetic.errors import Malformed, Misconfigured
from hermetic.identity import parse_ed25519
from hermetic.serve.credentials import ApiKeys
from hermetic.wire import Digest, is_digest, parse_toml, sha256_digest

__all__ = [
    "ApiKeysConfig",
    "BrokerConfig",
    "EngineConfig",
    "Limits",
    "ListenConfig",
    "ModelConfig",
    "ServerConfig",
    "load_config",
]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ListenConfig(_Table, frozen=True, kw_only=True):
    """Where to listen.  Port 0 takes a free one, which the log then names.

    ``cors_origins`` are the web origins whose pages may use the server, ``"*"`` for any; none by default.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    cors_origins: tuple[str, ...] = ()


class ModelConfig(_Table, frozen=True, kw_only=True):
    """The one model served: its public name, where it lies sealed, and what of it may be opened."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,128}\Z")]
    bundle: Path
    resource: str
    version: str
    manifest_digest: Digest


class BrokerConfig(_Table, frozen=True, kw_only=True):
    """The only broker that keys are taken from.  ``key`` is what is trusted; ``url`` is only where to ask."""

    url: str
    key: str
    log_key: str


class ApiKeysConfig(_Table, frozen=True, kw_only=True):
    """Who may ask.  Keys themselves never stand in a file: only their digests do."""

    digests: tuple[str, ...] = ()
    open: bool = False

    def keys(self) -> ApiKeys:
        return ApiKeys(self.digests, open_to_all=self.open)


class Limits(_Table, frozen=True, kw_only=True):
    """What one request may take, and how many may wait.

    ``body_bytes`` is plaintext, ``body_seconds`` the time that a body may take to arrive; ``max_tokens`` bounds one
    answer and is what an unlimited request gets; ``queue`` requests wait when all slots are taken; ``request_seconds``
    are for everything from an arrived request to its last token, ``reading_seconds`` more for a client to take what is
    ready; ``receipts`` are kept in memory, ``receipts_per_key`` of one API key.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=1024, le=16 * 1024 * 1024)] = 1024 * 1024
    body_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] = 1024
    queue: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 32
    request_seconds: Annotated[float, msgspec.Meta(gt=0, le=24 * 3600)] = 300.0
    reading_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 15.0
    receipts: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 5_000
    receipts_per_key: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1_000


class EngineConfig(_Table, frozen=True, kw_only=True):
    """``slots`` requests side by side, ``context`` tokens each; ``threads`` absent means all cores but one."""

    slots: Annotated[int, msgspec.Meta(ge=1, le=256)] = 4
    context: Annotated[int, msgspec.Meta(ge=64, le=1024 * 1024)] = 2048
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None


class ServerConfig(_Table, frozen=True, kw_only=True):
    """The whole configuration, its paths already absolute.

    ``keyset_hours`` is how long the attested keys live; the server stops with them, and its next start makes new ones.
    """

    service: Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,128}\Z")]
    model: ModelConfig
    broker: BrokerConfig
    api_keys: ApiKeysConfig
    listen: ListenConfig = ListenConfig()
    limits: Limits = Limits()
    engine: EngineConfig = EngineConfig()
    keyset_hours: Annotated[int, msgspec.Meta(ge=1, le=24 * 31)] = 24 * 6


def load_config(path: Path | str) -> tuple[ServerConfig, Digest]:
    """The configuration and the digest of its exact bytes.  Raises Misconfigured naming the field, and its line."""
    path = Path(path).absolute()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"cannot read {path}: {error.strerror}",
            code="config_unreadable",
            fix="name a server's configuration; the quick start shows how to write it, and `hermetic up` writes one",
        ) from error
    return parse_config(data, folder=path.parent, name=str(path)), sha256_digest(data)


def parse_config(data: bytes, *, folder: Path, name: str) -> ServerConfig:
    """Like :func:`load_config`, from the bytes that were measured.  Paths are taken from ``folder``."""
    try:
        config = msgspec.convert(parse_toml(data, what=name), ServerConfig, dec_hook=_path, strict=True)
    except Malformed as error:
        raise Misconfigured(error.message, code="config_malformed") from None
    except msgspec.ValidationError as error:
        line = _line(data.decode("utf-8"), str(error))
        raise Misconfigured(f"{name}{line}: {error}", code="config_malformed") from None
    _check(config, name)
    model = msgspec.structs.replace(config.model, bundle=folder / config.model.bundle)
    return msgspec.structs.replace(config, model=model)


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")


def _check(config: ServerConfig, name: str) -> None:
    if not is_digest(config.model.manifest_digest):
        raise _wrong(name, "model.manifest_digest is not sha256:<64 lowercase hex digits>", "hermetic seal prints it")
    try:
        parse_ed25519(config.broker.key, what="broker.key")
    except Malformed as error:
        raise _wrong(name, error.message, "hermetic broker init prints it") from None
    url = urlsplit(config.broker.url)
    if url.scheme not in {"http", "https"} or not url.hostname or url.username or url.query or url.fragment:
        raise _wrong(name, "broker.url is no plain http or https address")
    try:
        config.api_keys.keys()
    except Misconfigured as error:
        raise _wrong(name, f"api_keys: {error.message}", error.fix) from None


def _wrong(name: str, message: str, fix: str = "") -> Misconfigured:
    return Misconfigured(f"{name}: {message}", code="config_malformed", fix=fix)


_PLACE = re.compile(r"at `\$\.?([\w.]*)`$")
_NAMED = re.compile(r"field `(\w+)`")


def _line(text: str, fault: str) -> str:
    """``:<line>`` of the field or table that a validation fault names, if it can be found."""
    place, named = _PLACE.search(fault), _NAMED.search(fault)
    wanted = ".".join(found[1] for found in (place, named) if found and found[1])
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*\[([\w.]+)\]", line):
            name = table = header[1]
        elif key := re.match(r"\s*(\w+)\s*=", line):
            name = f"{table}.{key[1]}" if table else key[1]
        else:
            continue
        if name == wanted:
            return f":{number}"
    return ""
