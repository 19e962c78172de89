"""EHBP, the Encrypted HTTP Body Protocol: bodies sealed to an X25519 key, sans-I/O, both sides.

Ordinary paths and headers stay in clear, so OpenAI's SDKs and browsers work.  So do its weaknesses: the end of a stream
is not proved, nothing binds a body to its path or headers, and a 422 tells a stale key from a broken body.  The
strict profile (:mod:`hermetic.channel.strict`) has none of them.

What a server answers to each refusal:

    Malformed, ChannelBroken        400: a bad encapsulated key, bad framing, or a later frame that does not open
    KeyMismatch                     422: the first frame does not open, so the client has a stale key
    RequestRefused                  its own status, sealed: a replay, a body above the limit
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hermetic.channel._response import NONCE_LENGTH, SECRET_LENGTH, ResponseCipher
from hermetic.channel.hpke import TAG_LENGTH, setup_recipient, setup_sender
from hermetic.channel.kem import X25519PrivateKey, X25519PublicKey
from hermetic.channel.refusals import BodyMeter
from hermetic.channel.replay import ReplayCache
from hermetic.errors import ChannelBroken, Malformed
from hermetic.wire import FrameReader, frame, unhex

REQUEST_HEADER = "Ehbp-Encapsulated-Key"
RESPONSE_HEADER = "Ehbp-Response-Nonce"
KEYS_PATH = "/.well-known/hpke-keys"
KEYS_CONTENT_TYPE = "application/ohttp-keys"
KEY_MISMATCH_TYPE = "urn:ietf:params:ehbp:error:key-config"
"""The ``type`` of the problem document in a 422."""

MAX_FRAME = 64 * 1024 * 1024
"""A longer frame is refused from its length prefix."""

_INFO = b"ehbp request"
_EXPORT_LABEL = b"ehbp response"
_FRAME_CONTENT = 64 * 1024

# key_id 00 | kem 0020 | public key (32 bytes) | suites 0004: kdf 0001, aead 0002
_CONFIG_HEAD = bytes.fromhex("000020")
_CONFIG_TAIL = bytes.fromhex("000400010002")


class KeyMismatch(ChannelBroken):
    """The first frame does not open: it was sealed to a key that this server no longer has, or it was changed."""

    code = "key_mismatch"


def encode_key_config(public_key: X25519PublicKey) -> bytes:
    """The 41 bytes served at ``/.well-known/hpke-keys``: one bare key configuration of RFC 9458 §3.1."""
    return _CONFIG_HEAD + public_key.raw + _CONFIG_TAIL


def parse_key_config(data: bytes) -> X25519PublicKey:
    """The key in a configuration.  NOT TRUSTED: only an attested keyset says whose key it is.

    Raises Malformed unless it is exactly the one suite that EHBP has.
    """
    if not data.startswith(_CONFIG_HEAD) or not data.endswith(_CONFIG_TAIL):
        raise Malformed("EHBP key configuration: expected 41 bytes of X25519, HKDF-SHA256, AES-256-GCM")
    return X25519PublicKey(data[len(_CONFIG_HEAD) : -len(_CONFIG_TAIL)])


class RequestSealer:
    """The client's side of a request with a body that is not empty.  (An empty one travels as it is, EHBP §7.4.)"""

    def __init__(self, public_key: X25519PublicKey) -> None:
        self._sender = setup_sender(public_key, _INFO)

    @property
    def header(self) -> str:
        """The value of ``Ehbp-Encapsulated-Key``."""
        return self._sender.enc.hex()

    def push(self, data: bytes) -> bytes:
        """The frames that carry ``data``; nothing for nothing."""
        return b"".join(frame(self._sender.seal(part)) for part in _parts(data))

    def response_opener(
        self, *, status: int, nonces: Sequence[str], max_frame: int = MAX_FRAME
    ) -> ResponseOpener | None:
        """What opens the response whose ``Ehbp-Response-Nonce`` headers are ``nonces``.

        None means that the response came in clear and nobody vouches for it.  Raises ChannelBroken where a success came
        in clear or the header is repeated, Malformed where it is not 32 bytes of hex.
        """
        if not nonces and not 200 <= status < 300:
            return None
        if len(nonces) != 1:
            raise ChannelBroken(f"expected one {RESPONSE_HEADER} header, got {len(nonces)}", code="unsealed_response")
        nonce = unhex(nonces[0], what=RESPONSE_HEADER, length=NONCE_LENGTH)
        secret = self._sender.export(_EXPORT_LABEL, SECRET_LENGTH)
        return ResponseOpener(ResponseCipher(secret=secret, enc=self._sender.enc, nonce=nonce), max_frame=max_frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKey:
    """A server's key, with the memory of what was served under it, which lives exactly as long.

    Requests carry no time, so nothing is ever forgotten: a full memory refuses what comes, until the key is renewed.
    """

    private_key: X25519PrivateKey
    seen: ReplayCache = field(default_factory=ReplayCache, repr=False)


class RequestOpener:
    """The server's side of a request: ``push`` what arrives, take the plaintext, ``finish`` at the end of input.

    ``header`` is the value of ``Ehbp-Encapsulated-Key``, ``max_body`` the most plaintext that is taken.  Raises
    Malformed where the header cannot be a key.
    """

    def __init__(self, key: ServerKey, header: str, *, max_body: int) -> None:
        self._key = key
        self._enc = unhex(header, what=REQUEST_HEADER, length=X25519PrivateKey.enc_length)
        self._recipient = setup_recipient(key.private_key, self._enc, _INFO)
        self._frames = FrameReader(max_frame=min(MAX_FRAME, max_body + TAG_LENGTH))
        self._meter = BodyMeter(max_body)
        self._opened = False

    @property
    def opened(self) -> bool:
        """Whether a frame has opened: from then on client and server share a context and every answer is sealed."""
        return self._opened

    def push(self, data: bytes) -> list[bytes]:
        """The plaintext of each frame that ``data`` completes.

        Raises KeyMismatch where the first does not open, ChannelBroken where a later one does not or is too long,
        Replayed or ReplayMemoryFull once the first has opened, BodyTooLarge.
        """
        parts = [self._open(ciphertext) for ciphertext in self._frames.push(data) if ciphertext]
        self._meter.count(sealed=len(data), content=sum(map(len, parts)))
        return parts

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken if it ended inside a frame or held none.

        EHBP has no end mark: an input that was cut between two frames passes.
        """
        self._frames.finish()
        if not self._opened:
            raise ChannelBroken("an encrypted request holds at least one frame")

    def _open(self, ciphertext: bytes) -> bytes:
        try:
            plaintext = self._recipient.open(ciphertext)
        except ChannelBroken:
            if self._opened:
                raise
            raise KeyMismatch("the first frame does not open under this server's key") from None
        if not self._opened:
            # No honest client uses an encapsulated key twice.
            self._opened = True
            self._key.seen.reserve(self._enc)
        return plaintext

    def response_sealer(self) -> ResponseSealer:
        """What seals the answer to this request, under a fresh nonce."""
        return self._response_sealer(os.urandom(NONCE_LENGTH))

    def _response_sealer(self, nonce: bytes) -> ResponseSealer:
        """With the nonce given, for test vectors.  A nonce used twice would repeat a key."""
        secret = self._recipient.export(_EXPORT_LABEL, SECRET_LENGTH)
        return ResponseSealer(ResponseCipher(secret=secret, enc=self._enc, nonce=nonce), nonce)


class ResponseSealer:
    """The server's side of a response."""

    def __init__(self, cipher: ResponseCipher, nonce: bytes) -> None:
        self._cipher = cipher
        self._nonce = nonce

    @property
    def header(self) -> str:
        """The value of ``Ehbp-Response-Nonce``."""
        return self._nonce.hex()

    def push(self, data: bytes) -> bytes:
        """The frames that carry ``data``: one for a write of up to 64 KiB, none for an empty one."""
        return b"".join(frame(self._cipher.seal(part)) for part in _parts(data))


class ResponseOpener:
    """The client's side of a response: ``push`` what arrives, take the plaintext, ``finish`` at the end of input."""

    def __init__(self, cipher: ResponseCipher, *, max_frame: int = MAX_FRAME) -> None:
        self._cipher = cipher
        self._frames = FrameReader(max_frame=max_frame)

    def push(self, data: bytes) -> list[bytes]:
        """The plaintext of each frame that ``data`` completes.  Raises ChannelBroken."""
        return [self._cipher.open(ciphertext) for ciphertext in self._frames.push(data) if ciphertext]

    def finish(self) -> None:
        """The input ended.  Raises ChannelBroken inside a frame; a cut between two frames passes (no end mark)."""
        self._frames.finish()


def _parts(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _FRAME_CONTENT] for start in range(0, len(data), _FRAME_CONTENT))
