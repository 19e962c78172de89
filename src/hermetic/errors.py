"""Every way in which Hermetic says no.

    HermeticError
     ├─ Refused                 somebody looked and said no
     │   ├─ Malformed           the bytes are not what they claim to be
     │   ├─ NotAuthentic        evidence, a signature or a proof does not hold
     │   ├─ NotAcceptable       authentic, but the policy does not want it
     │   ├─ NotReleased         the broker keeps the key
     │   └─ ChannelBroken       a sealed stream was cut, reordered, replayed or forged
     ├─ Misconfigured           what the user wrote cannot be carried out
     └─ Unavailable             nobody said no: the other side did not answer

Each carries a stable ``code`` (for programs), a message with expected and got, and ``fix``: what to do about it.
None ever carries a secret, a prompt or a key.  Nothing in Hermetic answers "verified" with a boolean.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ChannelBroken",
    "HermeticError",
    "Malformed",
    "Misconfigured",
    "NotAcceptable",
    "NotAuthentic",
    "NotReleased",
    "Refused",
    "Unavailable",
]


class HermeticError(Exception):
    """Root of the tree.  ``code`` is stable across releases; ``fix`` is a sentence for a person, or empty."""

    code: str = "error"

    def __init__(self, message: str, *, code: str | None = None, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.fix})" if self.fix else self.message


class Refused(HermeticError):
    """Somebody looked and said no.

    ``checks``: what was checked up to and including the refusal (``hermetic.verify.Check``), where a list was kept.
    """

    code = "refused"
    checks: tuple[Any, ...] = ()


class Malformed(Refused):
    """The bytes are not what they claim to be.  Raised before anything in them is believed."""

    code = "malformed"


class NotAuthentic(Refused):
    """Evidence, a signature, a chain or a proof does not hold."""

    code = "not_authentic"


class NotAcceptable(Refused):
    """Authentic, but the relying party's policy does not want it."""

    code = "not_acceptable"


class NotReleased(Refused):
    """The broker keeps the key.  The reason in full goes to the owner, never to the workload."""

    code = "not_released"


class ChannelBroken(Refused):
    """A sealed stream was cut, reordered, replayed, moved or forged."""

    code = "channel_broken"


class Misconfigured(HermeticError):
    """What the user wrote (a configuration, a policy, a command line) cannot be carried out."""

    code = "misconfigured"


class Unavailable(HermeticError):
    """Nobody said no: the other side did not answer, or answered with a fault of its own."""

    code = "unavailable"
