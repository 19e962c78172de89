"""Signed notes (c2sp.org/signed-note): a text, and under it one line for each signature.

    example.com/log
    7
    <base64>

    — example.com/log <base64 of key ID and signature>

A note says nothing until :func:`open_note` has found on it a good signature by a key the caller named.  Two kinds of
key are known: Ed25519 over the text (a log's), and the timestamped Ed25519 cosignature of a witness
(c2sp.org/tlog-cosignature).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hermetic.errors import Malformed, NotAuthentic
from hermetic.wire import b64decode, b64encode, sha256, unhex

__all__ = [
    "Note",
    "NoteSignature",
    "NoteSigner",
    "SignatureType",
    "VerifierKey",
    "open_note",
    "parse_note",
    "sign_note",
]

MAX_NOTE_SIZE = 1024 * 1024
MAX_SIGNATURES = 64
_MAX_TIMESTAMP = 2**63 - 1


class SignatureType(IntEnum):
    """The signature type identifier bytes of c2sp.org/signed-note that Hermetic knows."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """Whose signature to look for: a name and a public key, written ``name+<8 hex: key ID>+<base64: type, key>``."""

    name: str
    public_key: bytes
    type: SignatureType = SignatureType.ED25519

    def __post_init__(self) -> None:
        if not _is_key_name(self.name):
            raise Malformed("a key name is not empty and holds neither spaces nor a plus sign")
        if len(self.public_key) != 32:
            raise Malformed(f"key {self.name}: an Ed25519 public key has 32 bytes, got {len(self.public_key)}")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart.  Not a commitment to the key: collisions are easy to make."""
        return sha256(self.name.encode(), b"\n", bytes([self.type]), self.public_key)[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([self.type]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """A key from its text.  Raises Malformed on an unknown type and where the key ID is not the key's."""
        try:
            name, key_id, material = text.split("+", 2)
        except ValueError:
            raise Malformed("verifier key: expected name+keyid+base64") from None
        data = b64decode(material, what="verifier key")
        if not data or data[0] not in tuple(SignatureType):
            raise Malformed("verifier key: unknown signature type")
        key = cls(name=name, public_key=data[1:], type=SignatureType(data[0]))
        if unhex(key_id, what="key ID", length=4) != key.key_id:
            raise Malformed(f"verifier key: the key ID of {name} is {key.key_id.hex()}, got {key_id}")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSigner:
    """A name and the private key that signs for it."""

    name: str
    private_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> NoteSigner:
        """The signer whose RFC 8032 private key is ``seed`` (32 bytes, secret)."""
        if len(seed) != 32:
            raise Malformed("an Ed25519 seed has 32 bytes")
        return cls(name=name, private_key=Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def verifier(self) -> VerifierKey:
        """What others verify this signer's notes with."""
        return VerifierKey(name=self.name, public_key=self.private_key.public_key().public_bytes_raw())

    def sign(self, text: str) -> NoteSignature:
        """The signature of ``text``, which ends in a newline."""
        return NoteSignature(
            name=self.name, key_id=self.verifier.key_id, signature=self.private_key.sign(text.encode("utf-8"))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line, as it stands: nobody has verified it."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"— {self.name} {b64encode(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text and its signature lines.  From :func:`parse_note` nothing in it is to be believed."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __bytes__(self) -> bytes:
        return f"{self.text}\n{''.join(map(str, self.signatures))}".encode()


def sign_note(text: str, signers: Sequence[NoteSigner]) -> Note:
    """``text`` signed by each of ``signers`` in turn.  Raises Malformed where no note can hold it."""
    note = Note(text=text, signatures=tuple(signer.sign(text) for signer in signers))
    # Reading it back refuses what a verifier would refuse, before anyone sees it.
    return parse_note(bytes(note))


def parse_note(data: bytes) -> Note:
    """Text and signature lines of a note, none of them verified.  Raises Malformed."""
    if len(data) > MAX_NOTE_SIZE:
        raise Malformed(f"note: larger than {MAX_NOTE_SIZE} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("note: not UTF-8") from None
    if any(character < " " and character != "\n" for character in whole):
        raise Malformed("note: a control character other than newline")
    # The *last* empty line divides: the text itself may hold empty lines.
    text, divider, lines = whole.rpartition("\n\n")
    if not divider or not lines.endswith("\n"):
        raise Malformed("note: expected a text, an empty line and signature lines")
    signatures = tuple(_parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise Malformed(f"note: more than {MAX_SIGNATURES} signatures")
    return Note(text=text + "\n", signatures=signatures)


def open_note(data: bytes, *, keys: Sequence[VerifierKey]) -> tuple[Note, tuple[VerifierKey, ...]]:
    """The note in ``data``, and those of ``keys`` whose signatures hold.  Raises Malformed or NotAuthentic.

    Signatures by other keys are passed over, as the specification demands: they prove nothing, and whoever carries the
    note can add or drop them.  A bad signature by one of ``keys`` refuses the whole note, and so does having none.
    """
    if not keys:
        raise NotAuthentic("note: no key to verify it with", code="note_signature")
    note = parse_note(data)
    by_id = {(key.name, key.key_id): key for key in keys}
    good = []
    for line in note.signatures:
        key = by_id.get((line.name, line.key_id))
        if key is None:
            continue
        _verify(key, note.text, line.signature)
        if key not in good:
            good.append(key)
    if not good:
        names = ", ".join(sorted({key.name for key in keys}))
        raise NotAuthentic(f"note: expected a signature by {names}, got none", code="note_signature")
    return note, tuple(good)


def _verify(key: VerifierKey, text: str, signature: bytes) -> None:
    message = text.encode("utf-8")
    if key.type is SignatureType.COSIGNATURE_V1:
        timestamp = int.from_bytes(signature[:8], "big")
        if len(signature) != 72 or timestamp > _MAX_TIMESTAMP:
            raise NotAuthentic(f"note: the cosignature by {key.name} has the wrong form", code="note_signature")
        message = f"cosignature/v1\ntime {timestamp}\n".encode() + message
        signature = signature[8:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise NotAuthentic(f"note: the signature by {key.name} does not hold", code="note_signature") from None


def _parse_signature(line: str) -> NoteSignature:
    try:
        dash, name, encoded = line.split(" ")
    except ValueError:
        raise Malformed("note: a signature line has three parts") from None
    if dash != "—" or not _is_key_name(name):
        raise Malformed("note: a signature line is an em dash, a key name and base64")
    data = b64decode(encoded, what="note signature")
    if len(data) < 5:
        raise Malformed("note: a signature line holds a key ID and a signature")
    return NoteSignature(name=name, key_id=data[:4], signature=data[4:])


def _is_key_name(name: str) -> bool:
    return bool(name) and not any(character == "+" or character.isspace() for character in name)
