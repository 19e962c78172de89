"""From recipients to a header, and from a header to the file key."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.seal.age import _base64
from hermetic.seal.age.filekey import FileKey
from hermetic.seal.age.header import Header, Stanza, parse_header, unsigned_header
from hermetic.seal.age.keys import Identity, Recipient


def make_header(file_key: FileKey, recipients: Sequence[Recipient]) -> Header:
    """A header that each of ``recipients`` can open.

    Raises Misconfigured when there is none, or when post-quantum and classic ones are mixed: the file would be no safer
    than its weakest stanza.
    """
    if not recipients:
        raise Misconfigured("nobody to seal to", fix="give at least one recipient")
    if len({recipient.post_quantum for recipient in recipients}) > 1:
        raise Misconfigured(
            "post-quantum and classic recipients cannot share a file",
            fix="use only age1pq1… or only age1… recipients, or seal twice",
        )
    covered = unsigned_header([recipient.wrap(file_key) for recipient in recipients])
    return parse_header(covered + b" " + _base64.encode(file_key.header_mac(covered)) + b"\n")


def unwrap(header: Header, *identities: Identity) -> FileKey:
    """The file key, once the header's MAC has been checked under it.

    Raises NotAuthentic, always the same, when no stanza opens or the MAC does not hold: which of the two is nobody's
    business.  Raises Malformed when a stanza of a known kind is misshapen (C2SP age, "Native recipient types").
    """
    # Every stanza is tried and its shape checked: what is refused does not depend on where the right one stands.
    found = [key for stanza in header.stanzas for key in _open(stanza, identities)]
    if not found:
        raise _cannot_open(header.stanzas)
    verify_mac(header, found[0])
    return found[0]


def verify_mac(header: Header, file_key: FileKey) -> None:
    """Checks that ``header`` is whole, and ``file_key`` its key (C2SP age, "Header MAC").  Raises NotAuthentic."""
    if not hmac.compare_digest(file_key.header_mac(header.authenticated), header.mac):
        raise _cannot_open(header.stanzas)


def _open(stanza: Stanza, identities: Sequence[Identity]) -> list[FileKey]:
    keys = (identity.unwrap(stanza) for identity in identities)
    return [key for key in keys if key is not None]


def _cannot_open(stanzas: Sequence[Stanza]) -> NotAuthentic:
    passphrase = any(stanza.kind == "scrypt" for stanza in stanzas)
    return NotAuthentic(
        "the file is not sealed to this key, or its header was changed",
        code="cannot_open",
        fix="it asks for a passphrase, which is not supported: use age -d" if passphrase else "",
    )
