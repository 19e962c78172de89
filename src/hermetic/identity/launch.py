"""The launch document: exactly what was started (design.md, "What is measured").

Its digest sits where the platform signs it (HOST_DATA on SEV-SNP).  It never names a policy that pins it: policies pin
its *fields*, so nothing is circular.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermetic.errors import Malformed
from hermetic.identity._fields import digest, exactly, items, text
from hermetic.identity.keyset import parse_ed25519
from hermetic.wire import Digest, canonical, sha256_digest

__all__ = ["LaunchDocument", "MeasuredModel"]

_VERSION = "hermetic.launch.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """A model the workload may serve, by the digest of its bundle's manifest."""

    name: str
    manifest_digest: Digest

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "manifest_digest": self.manifest_digest}

    @classmethod
    def from_json(cls, obj: object) -> MeasuredModel:
        fields = exactly(obj, frozenset({"name", "manifest_digest"}), what="model")
        return cls(
            name=text(fields["name"], what="model name", limit=256),
            manifest_digest=digest(fields["manifest_digest"], what="manifest_digest"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchDocument:
    """Everything that decides what a workload does.

    ``program_digest`` covers interpreter, libraries and code; ``config_digest`` the exact bytes of the configuration;
    ``broker_key`` is the identity (``ed25519:…``) of the only broker it takes keys from, or None when it takes none;
    ``outbound`` says whom else it trusts (name → ``sha256:…`` of that policy), empty for nobody.
    """

    service: str
    program_digest: Digest
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    config_digest: Digest
    models: tuple[MeasuredModel, ...]
    broker_key: str | None
    outbound: Mapping[str, Digest]

    @property
    def digest(self) -> Digest:
        """``sha256:`` over the canonical document; its 32 bytes are the SEV-SNP HOST_DATA."""
        return sha256_digest(canonical(self.to_json()))

    def to_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "service": self.service,
            "program_digest": self.program_digest,
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "config_digest": self.config_digest,
            "models": [model.to_json() for model in self.models],
            "broker_key": self.broker_key,
            "outbound": dict(self.outbound),
        }

    @classmethod
    def from_json(cls, obj: object) -> LaunchDocument:
        """Raises Malformed on anything unknown or missing, and on a version this code does not know."""
        names = frozenset(
            {
                "version", "service", "program_digest", "argv", "environment", "config_digest", "models",
                "broker_key", "outbound",
            }
        )  # fmt: skip
        fields = exactly(obj, names, what="launch document")
        if fields["version"] != _VERSION:
            raise Malformed(f"launch document: expected version {_VERSION}")
        broker_key = fields["broker_key"]
        if broker_key is not None:
            parse_ed25519(broker_key, what="broker_key")
        return cls(
            service=text(fields["service"], what="service", limit=256),
            program_digest=digest(fields["program_digest"], what="program_digest"),
            argv=items(fields["argv"], lambda value: text(value, what="argv"), what="argv"),
            environment=_strings(fields["environment"], what="environment"),
            config_digest=digest(fields["config_digest"], what="config_digest"),
            models=items(fields["models"], MeasuredModel.from_json, what="models"),
            broker_key=broker_key,
            outbound={
                name: digest(value, what="outbound policy")
                for name, value in _strings(fields["outbound"], what="outbound").items()
            },
        )


def _strings(value: object, *, what: str) -> Mapping[str, str]:
    if not isinstance(value, dict) or len(value) > 64:
        raise Malformed(f"{what}: expected an object of at most 64 strings")
    return {text(name, what=what): text(entry, what=what) for name, entry in value.items()}
