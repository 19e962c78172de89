"""From Accepted to somebody one may talk to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hermetic.channel.kem import X25519PublicKey, XWingPublicKey
from hermetic.channel.strict import Recipient
from hermetic.errors import NotAcceptable
from hermetic.identity import EHBP, STRICT, Purpose
from hermetic.policy import Accepted
from hermetic.wire import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The keys of a workload that a policy has accepted, until ``not_after``.

    Only :func:`open_session` makes one of something real.  ``ehbp`` is None where the keyset has no such key.
    """

    strict: Recipient
    ehbp: X25519PublicKey | None = field(repr=False)
    not_after: datetime
    simulated: bool

    @property
    def service(self) -> str:
        return self.strict.service

    @property
    def keyset_digest(self) -> Digest:
        return self.strict.keyset_digest


def open_session(accepted: Accepted) -> Session:
    """The session that an accepted workload may be spoken to in.

    Raises NotAcceptable where the evidence was made for another purpose, or the keyset does not hold exactly one key of
    the strict profile; Malformed where a key is none.
    """
    if accepted.binding.purpose is not Purpose.SESSION:
        raise NotAcceptable(
            f"evidence for talking has the purpose {Purpose.SESSION}, this has {accepted.binding.purpose}",
            code="binding.purpose",
        )
    keyset, service = accepted.claims.keyset, accepted.claims.launch.service
    strict = keyset.key(STRICT)
    recipient = Recipient(
        public_key=XWingPublicKey(strict.public_key),
        key_id=strict.key_id,
        keyset_digest=keyset.digest,
        service=service,
    )
    offers_ehbp = any(key.algo == EHBP for key in keyset.e2ee_public_keys)
    return Session(
        strict=recipient,
        ehbp=X25519PublicKey(keyset.key(EHBP).public_key) if offers_ehbp else None,
        not_after=keyset.expires(),
        simulated=accepted.simulated,
    )
