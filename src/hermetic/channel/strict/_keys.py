"""Who the parties are, and what binds a request to its place (docs/spec/strict.md §3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hermetic.channel.kem import XWingPrivateKey, XWingPublicKey
from hermetic.channel.replay import NonceWindow
from hermetic.errors import Malformed
from hermetic.wire import Digest, transcript

_LABEL = "hermetic strict request v1"
_METHOD = re.compile(r"[A-Z]{1,16}")
_TARGET = re.compile(r"/[!-~]{0,8191}")
_KEY_ID = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The attested workload, as a client knows it: every field from an accepted keyset and launch document."""

    public_key: XWingPublicKey = field(repr=False)
    key_id: str
    keyset_digest: Digest
    service: str

    def info(self, method: str, target: str) -> bytes:
        """What a request's context is bound to.  Raises Malformed where a part is not spelt as the profile wants."""
        return _info(self.keyset_digest, self.service, method, target, self.key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKey:
    """The workload's own side, with the memory that lives exactly as long as the key."""

    private_key: XWingPrivateKey
    key_id: str
    keyset_digest: Digest
    service: str
    window: NonceWindow = field(default_factory=NonceWindow, repr=False)

    def info(self, method: str, target: str) -> bytes:
        """As :meth:`Recipient.info`."""
        return _info(self.keyset_digest, self.service, method, target, self.key_id)

    def recipient(self) -> Recipient:
        """This server, as a client would know it."""
        return Recipient(
            public_key=self.private_key.public_key(),
            key_id=self.key_id,
            keyset_digest=self.keyset_digest,
            service=self.service,
        )


def _info(keyset_digest: str, service: str, method: str, target: str, key_id: str) -> bytes:
    if _METHOD.fullmatch(method) is None or method in ("CONNECT", "TRACE"):
        raise Malformed("a method is 1 to 16 capital letters, and neither CONNECT nor TRACE")
    if _TARGET.fullmatch(target) is None:
        raise Malformed("a target begins with a slash and is 1 to 8192 visible ASCII characters")
    if _KEY_ID.fullmatch(key_id) is None:
        raise Malformed("a key id is 1 to 128 visible ASCII characters")
    return transcript(_LABEL, *(part.encode("utf-8") for part in (keyset_digest, service, method, target, key_id)))
