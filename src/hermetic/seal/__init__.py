"""Sealed files (age v1) and bundles of them.  What lies on disk is ciphertext; what is opened is checked.

:mod:`hermetic.seal.age` reads and writes single files.
"""

from hermetic.seal.age import (
    FileKey,
    Header,
    Identity,
    Recipient,
    generate_identity,
    open_payload,
    parse_header,
    parse_identities,
    parse_identity,
    parse_recipient,
    parse_recipients,
    read_header,
    unwrap,
    verify_mac,
)

__all__ = [
    "FileKey",
    "Header",
    "Identity",
    "Recipient",
    "generate_identity",
    "open_payload",
    "parse_header",
    "parse_identities",
    "parse_identity",
    "parse_recipient",
    "parse_recipients",
    "read_header",
    "unwrap",
    "verify_mac",
]
