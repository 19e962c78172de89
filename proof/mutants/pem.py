"""The level of PEM: the same certificates written differently, more, fewer, or in another order."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from hermetic.evidence import SgxQuote, TdxQuote
from proof.mutants._change import Changes
from proof.specimens import Specimen

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


def changes(each: Specimen, part: str) -> Changes:
    """Of a PEM part, or of the chain inside a quote."""
    data = each.parts[part]
    if part == "quote":
        kind: type[TdxQuote] | type[SgxQuote] = TdxQuote if each.tee == "tdx" else SgxQuote
        quote = kind.from_bytes(data)
        for what, chain in _variants(quote.signature.pck_chain):
            yield what, partial(_in_quote, each, quote, chain)
    elif data.startswith(b"-----BEGIN CERTIFICATE"):
        for what, text in _variants(data):
            yield what, partial(each.with_part, part, text)


def _in_quote(each: Specimen, quote: TdxQuote | SgxQuote, chain: bytes) -> dict[str, bytes]:
    changed = replace(quote, signature=replace(quote.signature, pck_chain=chain))
    return dict(each.with_part("quote", changed.to_bytes()))


def _variants(pem: bytes) -> Iterator[tuple[str, bytes]]:
    ders = [base64.b64decode(body) for body in _BLOCK.findall(pem)]
    for width in (1, 48, 60, 63, 64, 65, 72, 76, 77, 80, 4096):
        for newline in (b"\n", b"\r\n", b"\r"):
            for tail in (b"", b"\0", newline, newline + b"\0", b"\0\0"):
                text = newline.join(_block(der, width, newline) for der in ders)
                yield f"lines of {width}, {newline!r}, then {tail!r}", text + tail
    text = b"\n".join(_block(der, 64, b"\n") for der in ders) + b"\n"
    for at in range(len(ders)):
        yield f"without certificate {at}", _text([der for place, der in enumerate(ders) if place != at])
        yield f"certificate {at} twice", _text([*ders[: at + 1], *ders[at:]])
        yield f"certificate {at} first", _text([ders[at], *ders[:at], *ders[at + 1 :]])
    yield "reversed", _text(ders[::-1])
    yield "a text in front", b"subject=nobody\n" + text
    yield "a text between", text.replace(b"-----END CERTIFICATE-----\n", b"-----END CERTIFICATE-----\nhello\n", 1)
    yield "a text behind", text + b"goodbye\n"
    yield "a header inside", text.replace(b"CERTIFICATE-----\n", b"CERTIFICATE-----\nProc-Type: 4\n\n", 1)
    yield "a trusted certificate", text.replace(b" CERTIFICATE-", b" TRUSTED CERTIFICATE-")
    yield "an X509 certificate", text.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-")
    yield "blank lines", text.replace(b"\n", b"\n\n")
    yield "indented", text.replace(b"\n", b"\n ")
    yield "trailing blanks", text.replace(b"\n", b" \n")
    yield "a byte order mark", b"\xef\xbb\xbf" + text
    yield "base64 of the web", text.replace(b"+", b"-").replace(b"/", b"_")


def _text(ders: list[bytes]) -> bytes:
    return b"\n".join(_block(der, 64, b"\n") for der in ders) + b"\n"


def _block(der: bytes, width: int, newline: bytes) -> bytes:
    body = base64.b64encode(der)
    lines = [body[at : at + width] for at in range(0, len(body), width)]
    return newline.join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----"))
