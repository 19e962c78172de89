"""Writes docs/spec/vectors/strict.json with the second implementation: ``python tests/second_strict_vectors.py``.

Everything in it follows from fixed seeds, so the file can be compared byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

from Crypto.PublicKey import Hybrid

import second_strict as strict

PATH = Path(__file__).resolve().parents[1] / "docs" / "spec" / "vectors" / "strict.json"

SEED = bytes(range(32))
KEY = Hybrid._construct(param_set=Hybrid.MLKEM768_X25519, seed=SEED)
SERVER = {"key_id": "strict-1", "keyset_digest": "sha256:" + "ab" * 32, "service": "klinik-øst"}
TARGET = "/v1/chat/completions"
ISSUED_AT = 1_790_000_000_000

Fields = list[tuple[bytes, bytes]]


def pattern(length: int) -> bytes:
    """A long body: byte i is i mod 251."""
    return bytes(i % 251 for i in range(length))


def chosen(name: str, length: int) -> bytes:
    """What an implementation would draw at random."""
    return hashlib.shake_256(name.encode()).digest(length)


class Exchange:
    """One request and its response, with everything on the way."""

    def __init__(
        self,
        name: str,
        *,
        method: str,
        target: str,
        fields: Fields,
        body: bytes,
        shape: int,
        status: int,
        response_fields: Fields,
        writes: list[bytes],
    ) -> None:
        self.name, self.method, self.target, self.shape, self.status = name, method, target, shape, status
        self.fields, self.response_fields, self.body, self.writes = fields, response_fields, body, writes
        self.shared_secret, self.enc = KEY.public_key()._encaps(chosen(f"{name} encapsulation", 64))
        self.info = strict.make_info(SERVER["keyset_digest"], SERVER["service"], method, target, SERVER["key_id"])
        self.keys = strict.Keys(self.shared_secret, self.info)
        self.nonce = chosen(f"{name} nonce", 16)
        self.response_nonce = chosen(f"{name} response nonce", 32)
        self.head = struct.pack(">Q", ISSUED_AT) + self.nonce + bytes([shape]) + strict.write_fields(fields)
        self.response_head = struct.pack(">H", status) + strict.write_fields(response_fields)
        self.request = strict.seal_request(self.keys, self.enc, self.head, body)
        self.response = strict.seal_response(
            self.keys, self.enc, self.response_nonce, self.response_head, writes, shape
        )

    def document(self) -> dict[str, Any]:
        key, base = strict.response_keys(self.keys.response_secret, self.enc, self.response_nonce)
        return {
            "name": self.name,
            "method": self.method,
            "target": self.target,
            "info": self.info.hex(),
            "enc": self.enc.hex(),
            "shared_secret": self.shared_secret.hex(),
            "issued_at": ISSUED_AT,
            "nonce": self.nonce.hex(),
            "shape": self.shape,
            "fields": text(self.fields),
            "request_head": self.head.hex(),
            "body": body(self.body),
            "request": message(self.request),
            "response_secret": self.keys.response_secret.hex(),
            "response_nonce": self.response_nonce.hex(),
            "response_key": key.hex(),
            "response_base_nonce": base.hex(),
            "status": self.status,
            "response_fields": text(self.response_fields),
            "response_head": self.response_head.hex(),
            "writes": [body(write) for write in self.writes],
            "response": message(self.response),
        }


def text(fields: Fields) -> list[list[str]]:
    return [[name.decode("ascii"), value.decode("latin-1")] for name, value in fields]


def body(data: bytes) -> dict[str, Any]:
    return {"hex": data.hex()} if len(data) <= 4096 else {"pattern": len(data)}


def message(data: bytes) -> dict[str, str]:
    digest = hashlib.sha256(data).hexdigest()
    return {"hex": data.hex()} if len(data) <= 16_384 else {"sha256": digest}


JSON_FIELDS: Fields = [(b"authorization", b"Bearer sk-secret"), (b"content-type", b"application/json")]
SSE_FIELDS: Fields = [(b"content-type", b"text/event-stream"), (b"x-latin", b"caf\xe9")]

CHAT = Exchange(
    "a streamed chat",
    method="POST",
    target=TARGET,
    fields=JSON_FIELDS,
    body=b'{"messages":[]}',
    shape=0,
    status=200,
    response_fields=SSE_FIELDS,
    writes=[b'data: {"choices":[]}\n\n', b"data: [DONE]\n\n", b""],
)
EXCHANGES = [
    CHAT,
    Exchange(
        "a receipt that is not there: no body either way",
        method="GET",
        target="/v1/receipts/r%2F1?full=1&a=%20",
        fields=[],
        body=b"",
        shape=0,
        status=404,
        response_fields=[],
        writes=[b""],
    ),
    Exchange(
        "fixed frames of 1024 bytes",
        method="POST",
        target=TARGET,
        fields=JSON_FIELDS,
        body=b"{}",
        shape=10,
        status=200,
        response_fields=SSE_FIELDS,
        writes=[pattern(700), pattern(700), pattern(1020), pattern(1)],
    ),
    Exchange(
        "fixed frames, filled exactly",
        method="POST",
        target=TARGET,
        fields=[],
        body=b"{}",
        shape=9,
        status=200,
        response_fields=[],
        writes=[pattern(508), pattern(508)],
    ),
    Exchange(
        "bodies of several frames, at the edges of buckets",
        method="PUT",
        target="/",
        fields=[(b"x-repeated", b"1"), (b"x-repeated", b"2"), (b"x-empty", b"")],
        body=pattern(65_532 * 2),
        shape=0,
        status=429,
        response_fields=[(b"retry-after", b"1")],
        writes=[pattern(508), pattern(509), pattern(65_532), pattern(65_533)],
    ),
]


def refused_requests() -> list[dict[str, Any]]:
    """Messages to the chat's server.  All share the chat's context; where a place differs, it is the receiver's."""
    keys, enc, content = CHAT.keys, CHAT.enc, CHAT.body
    fixed = CHAT.head[:25]

    def frame(number: int, data: bytes, **faults: Any) -> bytes:
        options: dict[str, Any] = {"last": False, "direction": strict.REQUEST} | faults
        return strict.seal_frame(keys.key, keys.base, options.pop("direction"), number, data, **options)

    head, last = frame(0, CHAT.head), frame(1, content, last=True)
    one, two, three = frame(1, b"one"), frame(2, b"two"), frame(3, b"three", last=True)
    only = {"last": True}
    cases: list[tuple[str, str, bytes]] = [
        ("nothing but the encapsulated key", "4.1", enc),
        ("the encapsulated key cut", "3.3", enc[:-1]),
        ("a point of low order", "3.1", enc[:1088] + bytes(32) + head + last),
        ("another encapsulated key", "3.1", bytes([enc[0] ^ 1]) + enc[1:] + head + last),
        ("the last frame dropped", "4.1", enc + head + one + two),
        ("everything after frame 0 dropped", "4.1", enc + head),
        ("a frame dropped", "4.1", enc + head + two + three),
        ("two frames exchanged", "4.1", enc + head + two + one + three),
        ("a frame repeated", "4.1", enc + head + one + one + two + three),
        ("frame 0 repeated", "4.1", enc + head + head + one),
        ("cut inside a frame", "4.1", enc + head + last[:-1]),
        ("a byte after the last frame", "4.1", enc + head + last + b"\x00"),
        ("a frame after the last", "4.1", enc + head + last + frame(2, b"", last=True)),
        ("the last flag removed on the wire", "4.1", enc + head + one + frame(2, b"", last=True, wire_flag=b"\x00")),
        ("the last flag added on the wire", "4.1", enc + head + frame(1, content, wire_flag=b"\x01")),
        ("an unknown flag", "4.1", enc + head + frame(1, content, flag=b"\x02") + frame(2, b"", last=True)),
        ("the response's direction", "4.1", enc + head + frame(1, content, last=True, direction=strict.RESPONSE)),
        ("the number in the AAD is another frame's", "4.1", enc + head + frame(2, content, last=True, nonce_number=1)),
        ("a plaintext that is no bucket", "4.2", enc + head + frame(1, content, last=True, bucket=600)),
        ("a plaintext below the smallest bucket", "4.2", enc + head + frame(1, content, last=True, bucket=256)),
        ("content beyond the plaintext", "4.2", enc + head + frame(1, content, last=True, announced=509)),
        ("padding that is not zero", "4.2", enc + head + frame(1, content, last=True, padding=b"\x01")),
        ("a frame longer than any bucket", "4.2", enc + head + struct.pack(">I", 65_554)),
        ("an empty frame", "4.2", enc + struct.pack(">I", 0) + head + last),
        ("a head cut in its nonce", "5.1", enc + frame(0, CHAT.head[:20], **only)),
        ("an unknown shape", "5.1", enc + frame(0, CHAT.head[:24] + b"\x08" + CHAT.head[25:], **only)),
        ("bytes after the fields", "5.2", enc + frame(0, CHAT.head + b"\x00", **only)),
        ("fewer fields than announced", "5.2", enc + frame(0, fixed + b"\x00\x02\x00\x01a\x00\x01b", **only)),
        ("no count of fields", "5.2", enc + frame(0, fixed, **only)),
    ]
    forbidden = [*sorted(strict.OUTER), b"hermetic-method", b"ehbp-encapsulated-key"]
    malformed = [(b"", b""), (b"Upper", b""), (b"sp ace", b""), (b"x" * 257, b"")]
    values = [(b"x", b"a\r\nb"), (b"x", b"a\x00b"), (b"x", b" a"), (b"x", b"a\t")]
    for name, value in [*((name, b"1") for name in forbidden), *malformed, *values]:
        sealed = enc + frame(0, fixed + strict.write_fields([(name, value)]), **only)
        cases.append((f"the field {name[:20]!r}: {value!r}", "5.2", sealed))
    place = {"method": CHAT.method, "target": CHAT.target, **SERVER}
    moved = [
        ("at another path", {"target": "/v1/completions"}),
        ("with a query", {"target": TARGET + "?stream=1"}),
        ("with another method", {"method": "PUT"}),
        ("at another service", {"service": "klinik-vest"}),
        ("under another keyset", {"keyset_digest": "sha256:" + "ac" * 32}),
        ("under another key id", {"key_id": "strict-2"}),
    ]
    return [{"name": name, "section": part, **place, "message": data.hex()} for name, part, data in cases] + [
        {"name": name, "section": "3.2", **place, **other, "message": CHAT.request.hex()} for name, other in moved
    ]


def refused_responses() -> list[dict[str, Any]]:
    """Messages to the chat's client (shape 0 unless it says otherwise)."""
    key, base = strict.response_keys(CHAT.keys.response_secret, CHAT.enc, CHAT.response_nonce)

    def frame(number: int, data: bytes, **faults: Any) -> bytes:
        options: dict[str, Any] = {"last": False, "direction": strict.RESPONSE} | faults
        return strict.seal_frame(key, base, options.pop("direction"), number, data, **options)

    nonce, head = CHAT.response_nonce, frame(0, CHAT.response_head)
    one, two, last = frame(1, b"Do "), frame(2, b"NOT "), frame(3, b"send it.", last=True)
    only = {"last": True}
    cases: list[tuple[str, str, int, bytes]] = [
        ("nothing", "4.1", 0, b""),
        ("the nonce alone", "4.1", 0, nonce),
        ("the nonce cut", "5.4", 0, nonce[:-1]),
        ("another nonce", "5.4", 0, bytes([nonce[0] ^ 1]) + nonce[1:] + head + one + two + last),
        ("the last frame dropped", "4.1", 0, nonce + head + one + two),
        ("everything after frame 0 dropped", "4.1", 0, nonce + head),
        ("frame 0 dropped", "4.1", 0, nonce + one + two + last),
        ("a frame dropped", "4.1", 0, nonce + head + two + last),
        ("two frames exchanged", "4.1", 0, nonce + head + two + one + last),
        ("a frame repeated", "4.1", 0, nonce + head + one + one + two + last),
        ("cut inside a frame", "4.1", 0, nonce + head + one + two + last[:-1]),
        ("a byte after the last frame", "4.1", 0, nonce + head + one + two + last + b"\x00"),
        ("the last flag removed on the wire", "4.1", 0, nonce + head + frame(1, b"", last=True, wire_flag=b"\x00")),
        ("the last flag added on the wire", "4.1", 0, nonce + head + frame(1, b"Do ", wire_flag=b"\x01")),
        ("the request's direction", "4.1", 0, nonce + head + frame(1, b"", last=True, direction=strict.REQUEST)),
        ("padding that is not zero", "4.2", 0, nonce + head + frame(1, b"", last=True, padding=b"\x01")),
        ("content beyond the plaintext", "4.2", 0, nonce + head + frame(1, b"", last=True, announced=509)),
        ("status 199", "5.2", 0, nonce + frame(0, struct.pack(">HH", 199, 0), **only)),
        ("status 600", "5.2", 0, nonce + frame(0, struct.pack(">HH", 600, 0), **only)),
        ("a head cut in its status", "5.2", 0, nonce + frame(0, b"\x00", **only)),
        ("bytes after the fields", "5.2", 0, nonce + frame(0, CHAT.response_head + b"\x00", **only)),
        ("a frame of another size than asked for", "5.3", 10, nonce + head + one + two + last),
    ]
    return [{"name": name, "section": part, "shape": shape, "message": data.hex()} for name, part, shape, data in cases]


def document() -> dict[str, Any]:
    return {
        "specification": "docs/spec/strict.md",
        "notes": [
            "Bytes are hex. A body given as {'pattern': n} has n bytes, byte i being i mod 251; a long message is given"
            " by its SHA-256.",
            "shared_secret is what decapsulating enc gives. With it every byte of a request can be reproduced.",
            "Of writes, the last one ends the response.",
            "Every refused message must be refused; section says by what. Refused requests and responses belong to the"
            " first exchange's context.",
        ],
        "server": {"seed": SEED.hex(), "public_key": KEY._pk.hex(), **SERVER},
        "exchanges": [exchange.document() for exchange in EXCHANGES],
        "refused_requests": refused_requests(),
        "refused_responses": refused_responses(),
    }


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {PATH}")
