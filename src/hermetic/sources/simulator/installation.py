"""One simulated AMD at rest: a seed, three private keys and their certificates, in one file that only its owner reads.

It is linked into place whole, so that no reader ever sees half an installation and two creators agree on one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hermetic.errors import Malformed
from hermetic.evidence import Product, SigningKey
from hermetic.sources.simulator.kept import damaged, read_private, write_once
from hermetic.sources.simulator.pki import AmdKeys, CertificateTemplate, ark_template, intermediate_template
from hermetic.wire import b64decode, b64encode, canonical, parse_object

_VERSION = "hermetic.simulator.amd.v1"
_PRIVATE = ("seed", "ark_key", "ask_key", "asvk_key")
_CERTIFICATES = ("ark", "ask", "asvk")
_SEED_BYTES = 32
_BACKDATED = timedelta(days=1)  # so that a verifier whose clock is a little behind finds it valid


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdInstallation:
    """The long-lived part of a simulated AMD.  ``seed`` (32 bytes) is the chip's; certificates are DER."""

    product: Product
    created: datetime
    seed: bytes = field(repr=False)
    keys: AmdKeys = field(repr=False)
    ark: bytes = field(repr=False)
    ask: bytes = field(repr=False)
    asvk: bytes = field(repr=False)

    @classmethod
    def create(
        cls,
        *,
        product: Product,
        created: datetime,
        seed: bytes,
        keys: AmdKeys,
        ark: CertificateTemplate | None = None,
        ask: CertificateTemplate | None = None,
        asvk: CertificateTemplate | None = None,
    ) -> AmdInstallation:
        """Signs the certificates.  Templates left None are as AMD's; ``created`` is cut to whole seconds."""
        created = created.astimezone(UTC).replace(microsecond=0)
        root = ark or ark_template(product, keys, created)
        vcek = ask or intermediate_template(product, SigningKey.VCEK, keys, created)
        vlek = asvk or intermediate_template(product, SigningKey.VLEK, keys, created)
        return cls(
            product=product,
            created=created,
            seed=seed,
            keys=keys,
            ark=root.sign(root.common_name, keys.ark),
            ask=vcek.sign(root.common_name, keys.ark),
            asvk=vlek.sign(root.common_name, keys.ark),
        )

    @classmethod
    def load_or_create(cls, state_dir: Path, *, product: Product, now: datetime) -> AmdInstallation:
        """The installation kept in ``state_dir``, made there with a random seed the first time (about two seconds).

        Raises Misconfigured where the file is damaged or where others may read it.
        """
        path = state_dir / f"simulated-amd-{product.lower()}.json"
        if not path.exists():
            fresh = cls.create(
                product=product,
                created=now - _BACKDATED,
                seed=secrets.token_bytes(_SEED_BYTES),
                keys=AmdKeys.generate(),
            )
            write_once(path, canonical(fresh._to_json()))
        kept = read_private(path)
        try:
            return cls._from_json(parse_object(kept, what="simulator state"))
        except Malformed as error:
            raise damaged(path, error.message) from error

    def _to_json(self) -> dict[str, str]:
        keys = {"ark_key": self.keys.ark, "ask_key": self.keys.ask, "asvk_key": self.keys.asvk}
        binary = {
            "seed": self.seed,
            **{name: _key_to_der(key) for name, key in keys.items()},
            **{name: getattr(self, name) for name in _CERTIFICATES},
        }
        return {
            "version": _VERSION,
            "product": str(self.product),
            "created": self.created.isoformat(),
            **{name: b64encode(value) for name, value in binary.items()},
        }

    @classmethod
    def _from_json(cls, value: dict[str, Any]) -> AmdInstallation:
        expected = {"version", "product", "created", *_PRIVATE, *_CERTIFICATES}
        if value.keys() != expected or value["version"] != _VERSION:
            raise Malformed(f"expected the members of {_VERSION}")
        binary = {name: b64decode(value[name], what=name) for name in (*_PRIVATE, *_CERTIFICATES)}
        try:
            product, created = Product(value["product"]), datetime.fromisoformat(value["created"])
            keys = AmdKeys(**{name: _key_from_der(binary[f"{name}_key"]) for name in _CERTIFICATES})
        except (ValueError, TypeError):
            raise Malformed("a member cannot be read") from None
        certificates = {name: binary[name] for name in _CERTIFICATES}
        return cls(product=product, created=created, seed=binary["seed"], keys=keys, **certificates)


def _key_to_der(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_from_der(der: bytes) -> rsa.RSAPrivateKey:
    # Proving again that the primes are prime takes a second a key, and whoever can write this file can write another
    # key: the pin of a relying party, not this check, is what a changed file runs into.
    key = serialization.load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key
