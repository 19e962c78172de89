"""``broker.toml``, read once at the entry point into one frozen value and passed down.

    name = "broker.example/hospital"           # the origin of its log, in every checkpoint
    data = "broker-data"                       # relative to this file; made by `hermetic broker init`

    [listen]
    host = "127.0.0.1"
    port = 8443

    [[resources]]
    name     = "broker/hospital/triage-model"
    class    = "simulated"                     # or "hardware"; fixed when the resource is made
    owner    = "ed25519:…"                     # who signs its versions
    policy   = "policy.toml"                   # who may have it
    versions = ["triage-model.release.json"]   # what there is to have, signed by the owner

Unknown fields refuse.  ``policy`` and ``versions`` need not exist before ``serve``: what they pin (the broker's key,
what was sealed for the resource) is only known after ``init``.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path
from typing import Annotated

import msgspec

from hermetic.errors import Malformed, Misconfigured
from hermetic.identity import parse_ed25519
from hermetic.wire import parse_toml

__all__ = ["BrokerConfig", "Limits", "Listen", "ResourceClass", "ResourceConfig", "load_config"]

_ORIGIN = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,200}")  # C2SP signed-note: a name without spaces or a plus sign
_PART = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_RESOURCE = re.compile(rf"{_PART}/{_PART}/{_PART}")  # as owners sign it: hermetic.seal, resource versions


class ResourceClass(enum.StrEnum):
    """On whose evidence a resource may be released.  Never both: a simulator opens nothing that hardware protects."""

    SIMULATED = "simulated"
    HARDWARE = "hardware"


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to listen.  Port 0 takes a free one, which the banner then names."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8443


class ResourceConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"resource_class": "class"}
):
    """One resource: its class, its owner, and the files that say who may have which versions of it."""

    name: str
    resource_class: ResourceClass
    owner: str
    policy: Path
    versions: tuple[Path, ...] = ()

    @property
    def tenant(self) -> str:
        """The middle part of the name."""
        return self.name.split("/")[1]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one caller, and all of them together, may ask for.  A caller is an address on the network.

    ``body_bytes`` bounds a request and ``body_seconds`` how long it may take to arrive; ``requests_per_second`` and
    ``burst`` bound one caller; ``challenges`` how many may be outstanding in all (one caller gets a quarter);
    ``leaves`` how many receipts one request may append.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=4096, le=16 * 1024 * 1024)] = 2 * 1024 * 1024
    body_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    requests_per_second: Annotated[float, msgspec.Meta(gt=0)] = 50.0
    burst: Annotated[int, msgspec.Meta(ge=1)] = 100
    challenges: Annotated[int, msgspec.Meta(ge=4, le=1_000_000)] = 4096
    challenge_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 60
    leaves: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 256


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration, its paths already absolute."""

    name: str
    data: Path
    listen: Listen = Listen()
    resources: tuple[ResourceConfig, ...] = ()
    limits: Limits = Limits()

    def resource(self, name: str) -> ResourceConfig:
        """Raises Misconfigured if there is none of that name."""
        for resource in self.resources:
            if resource.name == name:
                return resource
        known = ", ".join(resource.name for resource in self.resources) or "none"
        raise Misconfigured(f"there is no resource {name}", code="resource_unknown", fix=f"configured: {known}")


def load_config(path: Path | str) -> BrokerConfig:
    """Reads ``broker.toml``.  Raises Misconfigured naming the field that is wrong."""
    path = Path(path).absolute()
    try:
        tables = parse_toml(path.read_bytes(), what=str(path))
        config = msgspec.convert(tables, BrokerConfig, dec_hook=_path, strict=True)
    except OSError as error:
        raise Misconfigured(
            f"cannot read {path}: {error.strerror}",
            code="config_unreadable",
            fix="name one with --config; the quick start shows how to write it, and `hermetic up` writes one",
        ) from error
    except Malformed as error:
        raise Misconfigured(error.message, code="config_malformed") from error
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{path}: {error}", code="config_malformed") from error
    _check(config, path)
    return msgspec.structs.replace(
        config,
        data=path.parent / config.data,
        resources=tuple(
            msgspec.structs.replace(
                resource,
                policy=path.parent / resource.policy,
                versions=tuple(path.parent / version for version in resource.versions),
            )
            for resource in config.resources
        ),
    )


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path")


def _check(config: BrokerConfig, path: Path) -> None:
    if _ORIGIN.fullmatch(config.name) is None:
        raise _wrong(path, f"name: {config.name!r} is no log origin", "use printable ASCII without spaces or +")
    names = [resource.name for resource in config.resources]
    for name in names:
        if _RESOURCE.fullmatch(name) is None:
            raise _wrong(path, f"resources: {name!r} is no resource name", "write it as broker/tenant/name, lower case")
        if names.count(name) > 1:
            raise _wrong(path, f"resources: {name} is configured twice")
    for resource in config.resources:
        try:
            parse_ed25519(resource.owner, what=f"{resource.name}: owner")
        except Malformed as error:
            raise _wrong(path, error.message, "hermetic keygen --owner makes an owner's key") from error


def _wrong(path: Path, message: str, fix: str = "") -> Misconfigured:
    return Misconfigured(f"{path}: {message}", code="config_malformed", fix=fix)
