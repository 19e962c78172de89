"""A second implementation of the strict profile, written from docs/spec/strict.md alone.

It imports nothing of this project's and uses another cryptographic library (pycryptodome).  It is slow and plain: its
work is to disagree.  ``python tests/second_strict_vectors.py`` writes docs/spec/vectors/strict.json with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256
from Crypto.PublicKey import Hybrid

Fields = list[tuple[bytes, bytes]]
BUCKETS = [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536]
REQUEST, RESPONSE = b"\x01", b"\x02"
OUTER = set(
    b"connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te"
    b" trailer transfer-encoding upgrade".split()
)
TOKEN = set(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


class Disagreement(Exception):
    """A message that the specification does not allow."""


def need(condition: bool, section: str) -> None:
    if not condition:
        raise Disagreement(section)


# HKDF and HPKE's key schedule (RFC 5869, RFC 9180 §5.1)


def mac(key: bytes, message: bytes) -> bytes:
    return HMAC.new(key, message, SHA256).digest()


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    need(length <= 64, "RFC 5869")
    first = mac(prk, info + b"\x01")
    return (first + mac(prk, first + info + b"\x02"))[:length]


SUITE = b"HPKE" + struct.pack(">HHH", 0x647A, 0x0001, 0x0002)


def labeled_extract(salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return mac(salt, b"HPKE-v1" + SUITE + label + ikm)


def labeled_expand(prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, struct.pack(">H", length) + b"HPKE-v1" + SUITE + label + info, length)


class Keys:
    """The AEAD key, base nonce and exporter of a request's context."""

    def __init__(self, shared_secret: bytes, info: bytes) -> None:
        context = b"\x00" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", info)
        secret = labeled_extract(shared_secret, b"secret", b"")
        self.key = labeled_expand(secret, b"key", context, 32)
        self.base = labeled_expand(secret, b"base_nonce", context, 12)
        exporter = labeled_expand(secret, b"exp", context, 32)
        self.response_secret = labeled_expand(exporter, b"sec", b"hermetic strict response v1", 32)


def response_keys(response_secret: bytes, enc: bytes, response_nonce: bytes) -> tuple[bytes, bytes]:
    prk = mac(enc + response_nonce, response_secret)
    return expand(prk, b"key", 32), expand(prk, b"nonce", 12)


# §4: frames


def nonce_of(base: bytes, number: int) -> bytes:
    return bytes(a ^ b for a, b in zip(base, number.to_bytes(12, "big"), strict=True))


def seal_frame(
    key: bytes,
    base: bytes,
    direction: bytes,
    number: int,
    content: bytes,
    *,
    last: bool,
    bucket: int | None = None,
    padding: bytes = b"\x00",
    announced: int | None = None,
    flag: bytes | None = None,
    wire_flag: bytes | None = None,
    nonce_number: int | None = None,
) -> bytes:
    """One frame.  The last five parameters break it, for refusals."""
    size = bucket or next(size for size in BUCKETS if size >= 4 + len(content))
    plaintext = struct.pack(">I", len(content) if announced is None else announced) + content
    plaintext += padding * (size - len(plaintext))
    flag = flag or (b"\x01" if last else b"\x00")
    nonce = nonce_of(base, number if nonce_number is None else nonce_number)
    cipher = AES.new(key, AES.MODE_GCM, nonce=nonce)
    cipher.update(direction + struct.pack(">Q", number) + flag)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return struct.pack(">I", 1 + len(ciphertext) + len(tag)) + (wire_flag or flag) + ciphertext + tag


def open_frames(key: bytes, base: bytes, direction: bytes, data: bytes) -> Iterator[tuple[bytes, int]]:
    """(content, bucket) of each frame; the whole input must be there."""
    number, ended = 0, False
    while data:
        need(not ended, "§4.1 bytes after the last frame")
        need(len(data) >= 4, "§4.1 ends inside a frame")
        length = struct.unpack(">I", data[:4])[0]
        need(length <= 65553, "§4.2 length")
        frame, data = data[4 : 4 + length], data[4 + length :]
        need(len(frame) == length, "§4.1 ends inside a frame")
        flag, ciphertext, tag = frame[:1], frame[1:-16], frame[-16:]
        need(flag in (b"\x00", b"\x01"), "§4.1 flag")
        need(len(ciphertext) in BUCKETS, "§4.2 bucket")
        cipher = AES.new(key, AES.MODE_GCM, nonce=nonce_of(base, number))
        cipher.update(direction + struct.pack(">Q", number) + flag)
        try:
            plaintext = cipher.decrypt_and_verify(ciphertext, tag)
        except ValueError:
            raise Disagreement("§4.1 does not open") from None
        size = struct.unpack(">I", plaintext[:4])[0]
        need(size <= len(plaintext) - 4, "§4.2 content beyond the plaintext")
        need(set(plaintext[4 + size :]) <= {0}, "§4.2 padding")
        number, ended = number + 1, flag == b"\x01"
        yield plaintext[4 : 4 + size], len(plaintext)
    need(ended, "§4.1 the last frame is missing")


# §5: heads


def write_fields(fields: Fields) -> bytes:
    out = struct.pack(">H", len(fields))
    for name, value in fields:
        out += struct.pack(">H", len(name)) + name + struct.pack(">H", len(value)) + value
    return out


def read_fields(data: bytes) -> Fields:
    def string() -> bytes:
        nonlocal data
        need(len(data) >= 2, "§5.2 short")
        size = struct.unpack(">H", data[:2])[0]
        taken, data = data[2 : 2 + size], data[2 + size :]
        need(len(taken) == size, "§5.2 short")
        return taken

    need(len(data) >= 2, "§5.2 short")
    count, data = struct.unpack(">H", data[:2])[0], data[2:]
    fields = []
    for _ in range(count):
        name, value = string(), string()
        need(0 < len(name) <= 256 and set(name) <= TOKEN, "§5.2 name")
        need(not set(value) & {0, 10, 13} and value == value.strip(b" \t"), "§5.2 value")
        need(not name.startswith((b"hermetic-", b"ehbp-")), "§5.2 outer field")
        need(name not in OUTER, "§5.2 outer field")
        fields.append((name, value))
    need(not data, "§5.2 does not end with its fields")
    return fields


# §3: whole messages


def make_info(keyset_digest: str, service: str, method: str, target: str, key_id: str) -> bytes:
    texts = ["hermetic strict request v1", keyset_digest, service, method, target, key_id]
    return b"".join(struct.pack(">Q", len(text.encode())) + text.encode() for text in texts)


def split(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def seal_request(keys: Keys, enc: bytes, head: bytes, body: bytes) -> bytes:
    contents = [head, *split(body, 65532)]
    frames = (
        seal_frame(keys.key, keys.base, REQUEST, number, content, last=number == len(contents) - 1)
        for number, content in enumerate(contents)
    )
    return enc + b"".join(frames)


def open_request(seed: bytes, info: bytes, message: bytes) -> tuple[Keys, int, bytes, int, Fields, bytes]:
    """(keys, issued_at, nonce, shape, fields, body)."""
    need(len(message) > 1120, "§3.3")
    key = Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, seed=seed)
    try:
        keys = Keys(key._decaps(message[:1120]), info)
    except ValueError:
        raise Disagreement("§3.3 enc") from None
    head, *body = (content for content, _ in open_frames(keys.key, keys.base, REQUEST, message[1120:]))
    need(len(head) >= 25 and head[24] in (0, *range(9, 17)), "§5.1")
    return keys, struct.unpack(">Q", head[:8])[0], head[8:24], head[24], read_fields(head[25:]), b"".join(body)


def seal_response(keys: Keys, enc: bytes, response_nonce: bytes, head: bytes, writes: list[bytes], shape: int) -> bytes:
    """The last of ``writes`` ends the response."""
    key, base = response_keys(keys.response_secret, enc, response_nonce)
    if shape:
        parts = split(b"".join(writes), 2**shape - 4) or [b""]
    else:
        parts = [part for write in writes[:-1] for part in split(write, 65532)] + (split(writes[-1], 65532) or [b""])
    out = response_nonce + seal_frame(key, base, RESPONSE, 0, head, last=False)
    for number, part in enumerate(parts, start=1):
        last = number == len(parts)
        out += seal_frame(key, base, RESPONSE, number, part, last=last, bucket=2**shape if shape else None)
    return out


def open_response(keys: Keys, enc: bytes, message: bytes, shape: int) -> tuple[int, Fields, bytes]:
    """(status, fields, body)."""
    need(len(message) >= 32, "§5.4")
    key, base = response_keys(keys.response_secret, enc, message[:32])
    (head, _), *body = open_frames(key, base, RESPONSE, message[32:])
    need(not shape or all(bucket == 2**shape for _, bucket in body), "§5.3")
    need(len(head) >= 2 and 200 <= struct.unpack(">H", head[:2])[0] <= 599, "§5.2")
    return struct.unpack(">H", head[:2])[0], read_fields(head[2:]), b"".join(content for content, _ in body)
