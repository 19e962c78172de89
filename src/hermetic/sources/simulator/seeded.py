"""A simulated vendor whose every key follows from one seed: what is kept of it, in one file that only its owner reads.

Its root certificates are kept beside the seed although they could be made again: a relying party pins their digests, so
they must not change with the code that makes them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from hermetic.errors import Malformed
from hermetic.sources.simulator.ec import EcKeys
from hermetic.sources.simulator.kept import damaged, read_private, write_once
from hermetic.wire import b64decode, b64encode, canonical, parse_object

SEED_BYTES = 32
_BACKDATED = timedelta(days=1)  # so that a verifier whose clock is a little behind finds it valid

MakeRoots = Callable[[EcKeys, datetime], Mapping[str, bytes]]
"""From keys and the day of creation: root certificates (DER), by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeededInstallation:
    """The long-lived part of a simulated vendor.  ``roots`` are certificates in DER, by what they are for."""

    vendor: str
    created: datetime
    seed: bytes = field(repr=False)
    roots: Mapping[str, bytes] = field(repr=False)

    @property
    def keys(self) -> EcKeys:
        return EcKeys(vendor=self.vendor, seed=self.seed)

    @classmethod
    def create(cls, *, vendor: str, created: datetime, seed: bytes, make_roots: MakeRoots) -> SeededInstallation:
        """``created`` is cut to whole seconds.  One seed and one day of creation make one vendor, to the byte."""
        created = created.astimezone(UTC).replace(microsecond=0)
        roots = make_roots(EcKeys(vendor=vendor, seed=seed), created)
        return cls(vendor=vendor, created=created, seed=seed, roots=MappingProxyType(dict(roots)))

    @classmethod
    def load_or_create(
        cls, state_dir: Path, *, vendor: str, now: datetime, make_roots: MakeRoots
    ) -> SeededInstallation:
        """The installation kept in ``state_dir``, made there with a random seed the first time.

        Raises Misconfigured where the file is damaged or where others may read it.
        """
        path = state_dir / f"simulated-{vendor}.json"
        if not path.exists():
            seed = secrets.token_bytes(SEED_BYTES)
            fresh = cls.create(vendor=vendor, created=now - _BACKDATED, seed=seed, make_roots=make_roots)
            write_once(path, canonical(fresh._to_json()))
        kept = read_private(path)
        try:
            made = cls._from_json(parse_object(kept, what="simulator state"), vendor)
        except Malformed as error:
            raise damaged(path, error.message) from error
        if _public_keys(made.roots) != _public_keys(make_roots(made.keys, made.created)):
            raise damaged(path, "its roots are not those of its seed")
        return made

    def _to_json(self) -> dict[str, object]:
        return {
            "version": _version(self.vendor),
            "created": self.created.isoformat(),
            "seed": b64encode(self.seed),
            "roots": {name: b64encode(der) for name, der in self.roots.items()},
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any], vendor: str) -> SeededInstallation:
        if value.keys() != {"version", "created", "seed", "roots"} or value["version"] != _version(vendor):
            raise Malformed(f"expected the members of {_version(vendor)}")
        try:
            created = datetime.fromisoformat(value["created"])
        except (ValueError, TypeError):
            raise Malformed("the date cannot be read") from None
        if not isinstance(value["roots"], dict) or created.tzinfo is None:
            raise Malformed("a member cannot be read")
        return cls(
            vendor=vendor,
            created=created,
            seed=b64decode(value["seed"], what="seed", length=SEED_BYTES),
            roots=MappingProxyType({name: b64decode(der, what=name) for name, der in value["roots"].items()}),
        )


def _public_keys(roots: Mapping[str, bytes]) -> dict[str, bytes] | None:
    """Of each root its key; None where one is no certificate."""
    try:
        certificates = {name: x509.load_der_x509_certificate(der) for name, der in roots.items()}
    except ValueError:
        return None
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return {name: certificate.public_key().public_bytes(encoding, form) for name, certificate in certificates.items()}


def _version(vendor: str) -> str:
    return f"hermetic.simulator.{vendor}.v1"
