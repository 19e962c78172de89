"""The box that carries file keys from the broker to one attested workload (protocols.md §4).

HPKE to the keyset's release key; the associated data is a transcript of the whole exchange, so a box opens only in the
exchange it was made for.  HPKE says nothing about who sealed: the broker's signed decision names the box's digest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from hermetic.channel.hpke import open_from, seal_to
from hermetic.channel.kem import XWingPrivateKey, XWingPublicKey
from hermetic.errors import ChannelBroken, Malformed, NotReleased
from hermetic.identity import RELEASE, Purpose
from hermetic.policy import Accepted
from hermetic.release.documents import Want
from hermetic.seal import FileKey
from hermetic.wire import Digest, b64decode, b64encode, canonical, parse_object, transcript

__all__ = ["FileKeys", "Terms", "open_box", "release"]

FileKeys = tuple[tuple[FileKey, ...], ...]
"""For each want, in order, the file key of each of its headers, in order."""

_INFO = b"hermetic.release.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the two sides must agree on for the box to open."""

    broker_key: str
    challenge_id: str
    decision_id: str
    keyset_digest: Digest
    launch_digest: Digest
    wants: tuple[Want, ...]

    def associated_data(self) -> bytes:
        """An injective encoding of every field."""
        texts = (self.broker_key, self.challenge_id, self.decision_id, self.keyset_digest, self.launch_digest)
        wants = canonical(msgspec.to_builtins(self.wants))
        return transcript("hermetic.release.v1", *(text.encode() for text in texts), wants)


def release(file_keys: FileKeys, *, to: Sequence[Accepted], terms: Terms) -> bytes:
    """The file keys, sealed to the release key of the one workload that every owner's policy accepted.

    ``to`` holds one acceptance for each want.  Raises NotReleased unless all of them are of fresh evidence, made for a
    release, by the keyset and launch document that ``terms`` names; NotAcceptable when the keyset has no release key.
    """
    if not to or len(to) != len(terms.wants) or len(file_keys) != len(terms.wants):
        raise NotReleased("every want needs an acceptance and its file keys")
    for accepted in to:
        binding = accepted.binding
        if (binding.keyset_digest, binding.launch_digest) != (terms.keyset_digest, terms.launch_digest):
            raise NotReleased("an acceptance is about another workload")
        if binding.purpose is not Purpose.RELEASE or not accepted.claims.fresh:
            raise NotReleased("an acceptance is not about a release asked for just now")
    recipient = XWingPublicKey(to[0].claims.keyset.key(RELEASE).public_key)
    plaintext = canonical({"file_keys": [[b64encode(key.secret) for key in keys] for keys in file_keys]})
    return seal_to(recipient, _INFO, terms.associated_data(), plaintext)


def open_box(box: bytes, private_key: XWingPrivateKey, *, terms: Terms) -> FileKeys:
    """The file keys.  Raises ChannelBroken unless this very exchange was meant and exactly what was wanted came."""
    try:
        fields = parse_object(open_from(private_key, _INFO, terms.associated_data(), box), what="file keys")
        listed = fields["file_keys"]
        keys = tuple(tuple(FileKey(secret=b64decode(text, what="file key")) for text in group) for group in listed)
    except (Malformed, KeyError, TypeError):
        raise ChannelBroken("the box does not hold file keys") from None
    if [len(group) for group in keys] != [len(want.headers) for want in terms.wants]:
        raise ChannelBroken("the box does not hold the file keys that were asked for")
    return keys
