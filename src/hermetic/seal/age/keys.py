"""Recipients and identities as people write them: one key, or a file with one a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hermetic.errors import Malformed
from hermetic.seal.age import _bech32
from hermetic.seal.age.hybrid import HybridIdentity, HybridRecipient
from hermetic.seal.age.x25519 import X25519Identity, X25519Recipient

Recipient = HybridRecipient | X25519Recipient
"""Somebody to seal to: public."""

Identity = HybridIdentity | X25519Identity
"""Somebody who can open: secret."""

_Key = TypeVar("_Key")
_KEY_BYTES = {
    HybridRecipient.PREFIX: 1216,
    X25519Recipient.PREFIX: 32,
    HybridIdentity.PREFIX: 32,
    X25519Identity.PREFIX: 32,
}


def generate_identity(*, classic: bool = False) -> Identity:
    """A fresh identity: post-quantum hybrid, or X25519 with ``classic``, which every age client reads."""
    return X25519Identity.generate() if classic else HybridIdentity.generate()


def parse_recipient(text: str) -> Recipient:
    """One ``age1pq1…`` or ``age1…``.  Raises Malformed."""
    prefix, data = _decode(text)
    if prefix == HybridRecipient.PREFIX:
        return HybridRecipient(public=data)
    if prefix == X25519Recipient.PREFIX:
        return X25519Recipient(public=data)
    if prefix in (HybridIdentity.PREFIX, X25519Identity.PREFIX):
        raise Malformed("this is a secret key, not a recipient", fix="give its public side, age1…; keep the key secret")
    raise Malformed("not a recipient", fix="expected age1pq1… or age1…; plugins are not supported")


def parse_identity(text: str) -> Identity:
    """One ``AGE-SECRET-KEY-PQ-1…`` or ``AGE-SECRET-KEY-1…``.  Raises Malformed; never quotes ``text``."""
    prefix, data = _decode(text)
    if prefix == HybridIdentity.PREFIX:
        return HybridIdentity(secret=data)
    if prefix == X25519Identity.PREFIX:
        return X25519Identity(secret=data)
    raise Malformed("not an identity", fix="expected AGE-SECRET-KEY-PQ-1… or AGE-SECRET-KEY-1…")


def parse_recipients(text: str) -> tuple[Recipient, ...]:
    """The recipients in a file: one a line; blank lines and lines that begin with ``#`` are skipped.

    Raises Malformed at the first bad line, naming its number, and when there is none at all.
    """
    return _each_line(text, parse_recipient, what="recipient")


def parse_identities(text: str) -> tuple[Identity, ...]:
    """Like :func:`parse_recipients`, for a key file as ``age-keygen`` and ``hermetic keygen`` write it."""
    return _each_line(text, parse_identity, what="identity")


def _each_line(text: str, parse: Callable[[str], _Key], *, what: str) -> tuple[_Key, ...]:
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.strip()
        if not word or word.startswith("#"):
            continue
        try:
            keys.append(parse(word))
        except Malformed as error:
            raise Malformed(f"line {number}: {error.message}", fix=error.fix) from None
    if not keys:
        raise Malformed(f"the file holds no {what}")
    return tuple(keys)


def _decode(text: str) -> tuple[str, bytes]:
    prefix, data = _bech32.decode(text)
    expected = _KEY_BYTES.get(prefix)
    if expected is not None and len(data) != expected:
        raise Malformed(f"a key that begins {prefix}1 holds {expected} bytes, got {len(data)}")
    return prefix, data
