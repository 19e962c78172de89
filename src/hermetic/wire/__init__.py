"""Bytes that two parties must agree on: canonical JSON, digests, length-framed transcripts, frames; and TOML.

Nothing here knows what the bytes are for.
"""

from hermetic.wire._base64 import b64decode, b64encode, unhex
from hermetic.wire._digest import Digest, is_digest, sha256, sha256_digest
from hermetic.wire._frames import FrameReader, frame
from hermetic.wire._json import canonical, parse_json, parse_object
from hermetic.wire._toml import parse_toml
from hermetic.wire._transcript import transcript

__all__ = [
    "Digest",
    "FrameReader",
    "b64decode",
    "b64encode",
    "canonical",
    "frame",
    "is_digest",
    "parse_json",
    "parse_object",
    "parse_toml",
    "sha256",
    "sha256_digest",
    "transcript",
    "unhex",
]
