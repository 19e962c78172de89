"""age v1 (C2SP age): files sealed to public keys, post-quantum by default.

    header, _ = read_header(stream)          who can open it; believed by nobody yet
    file_key = unwrap(header, identity)      checks the header's MAC
    reader = open_payload(file_key, header, source)
    reader.read_into(memory)                 by all cores, any range

Stock age (1.3 for post-quantum), rage and typage open what is sealed here and the reverse.  Not supported: passphrases,
plugins, ASCII armor.
"""

from hermetic.seal.age.blocks import BlockFile, MemorySource, Source
from hermetic.seal.age.filekey import FileKey
from hermetic.seal.age.files import open_payload, open_stream, seal_file, seal_stream
from hermetic.seal.age.header import Header, Stanza, parse_header, read_header
from hermetic.seal.age.hybrid import HybridIdentity, HybridRecipient
from hermetic.seal.age.keys import (
    Identity,
    Recipient,
    generate_identity,
    parse_identities,
    parse_identity,
    parse_recipient,
    parse_recipients,
)
from hermetic.seal.age.payload import SPAN, OnSpan, PayloadReader, PayloadWriter, sealed_size
from hermetic.seal.age.stream import PayloadOpener, PayloadSealer
from hermetic.seal.age.wrap import make_header, unwrap, verify_mac
from hermetic.seal.age.x25519 import X25519Identity, X25519Recipient

__all__ = [
    "SPAN",
    "BlockFile",
    "FileKey",
    "Header",
    "HybridIdentity",
    "HybridRecipient",
    "Identity",
    "MemorySource",
    "OnSpan",
    "PayloadOpener",
    "PayloadReader",
    "PayloadSealer",
    "PayloadWriter",
    "Recipient",
    "Source",
    "Stanza",
    "X25519Identity",
    "X25519Recipient",
    "generate_identity",
    "make_header",
    "open_payload",
    "open_stream",
    "parse_header",
    "parse_identities",
    "parse_identity",
    "parse_recipient",
    "parse_recipients",
    "read_header",
    "seal_file",
    "seal_stream",
    "sealed_size",
    "unwrap",
    "verify_mac",
]
