"""The level of XML: signature wrapping, and every way to say one thing to the signature and another to the reader.

W3C XML Signature; "On Breaking SAML: Be Whoever You Want to Be" (Somorovsky et al., 2012) for the wrappings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

from proof.mutants._change import Changes
from proof.specimens import Specimen

_SIGNATURE = re.compile(rb"<(?:\w+:)?Signature[ >].*</(?:\w+:)?Signature>", re.DOTALL)
_ROOT = re.compile(rb"<[^>]*>")
_ATTRIBUTE = re.compile(rb' ([\w:]+)="([^"]*)"')
_TEXT = re.compile(rb">([^<>]+)<")
_HASH = re.compile(rb'(?<=")[0-9a-fA-F]{96}(?=")')
_EVIL = b"f" * 96


def changes(each: Specimen, part: str) -> Changes:
    """Of a manifest."""
    data = each.parts[part]
    found = _SIGNATURE.search(data) if data[:1] == b"<" else None
    if found is None:
        return
    signature, evil = found.group(), _HASH.sub(_EVIL, data)
    for variants in (_wrapped(data, evil, signature), _spelled(data), _signed(data, signature), _at_every_place(data)):
        for what, text in variants:
            if text != data:
                yield what, partial(each.with_part, part, text)


def _wrapped(data: bytes, evil: bytes, signature: bytes) -> Iterator[tuple[str, bytes]]:
    """The genuine document somewhere in, around or beside one with other reference values."""
    head, tail = _root_of(evil)
    inner = evil[len(head) : -len(tail)].replace(signature, b"")
    bare = data.replace(signature, b"")
    yield "other values under the same signature", evil
    for name in (b"Object", b"Wrapper", b"Extensions"):
        box = b"<" + name + b">" + data + b"</" + name + b">"
        yield f"the genuine one in {name.decode()} at the end", head + inner + signature + box + tail
        yield f"the genuine one in {name.decode()} in front", head + box + inner + signature + tail
        yield f"the genuine one in {name.decode()}, unsigned outside", head + inner + box + tail
        yield f"the genuine one around, in {name.decode()}", data.replace(signature, box + signature)
        inside = signature[: signature.rindex(b"</")] + b"<" + name + b">" + bare + b"</" + name + b">"
        yield f"the bare one inside the signature, in {name.decode()}", head + inner + inside + _close(signature) + tail
    yield "two signatures", data.replace(signature, signature * 2)
    yield "a second signature in front", head + signature + data[len(head) :]
    yield "the signature in front", head + signature + bare[len(head) :]
    yield "the signature behind the root", bare + signature
    yield "the signature around", signature[: signature.rindex(b"</")] + bare + _close(signature)
    yield "no signature", bare
    yield "two roots", data + data
    yield "other root first", evil + data
    yield "text behind the signature", data.replace(signature, signature + b"text")
    yield "an element behind the signature", data.replace(signature, signature + b"<x/>")
    for name in (b"Id", b"ID", b"id", b"xml:id", b"wsu:Id"):
        marked = head[:-1] + b" " + name + b'="genuine">'
        yield f"a reference to {name.decode()}", (marked + data[len(head) :]).replace(b'URI=""', b'URI="#genuine"')
    yield "a reference to nothing", data.replace(b'URI=""', b'URI="#none"')
    yield "a reference without address", data.replace(b' URI=""', b"")
    yield "a reference to a file", data.replace(b'URI=""', b'URI="file:///etc/passwd"')
    yield "an XPointer", data.replace(b'URI=""', b'URI="#xpointer(/)"')


def _spelled(data: bytes) -> Iterator[tuple[str, bytes]]:
    head, _ = _root_of(data)
    body = data[len(head) :]
    yield "a declaration", b'<?xml version="1.0" encoding="UTF-8"?>' + data
    yield "a declaration of UTF-16", b'<?xml version="1.0" encoding="UTF-16"?>' + data
    yield "a document type", b"<!DOCTYPE x []>" + data
    yield "an entity", b'<!DOCTYPE x [<!ENTITY e "x">]>' + head + b"&e;" + body
    yield "an external entity", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + head + b"&e;" + body
    bomb = b"".join(b'<!ENTITY %c "%s">' % (97 + n, b"&%c;" % (96 + n) * 10) for n in range(1, 10))
    yield "entities of entities", b'<!DOCTYPE x [<!ENTITY a "a">' + bomb + b"]>" + head + b"&j;" + body
    yield "a processing instruction", head + b"<?php x?>" + body
    yield "an instruction behind", data + b"<?x?>"
    yield "a comment in front", b"<!-- x -->" + data
    yield "a comment behind", data + b"<!-- x -->"
    yield "an xml: attribute", head[:-1] + b' xml:base="http://x/">' + body
    yield "an xml:space", head[:-1] + b' xml:space="preserve">' + body
    yield "another namespace", head[:-1] + b' xmlns:zz="urn:zz">' + body
    yield "a relative namespace", head[:-1] + b' xmlns:zz="zz">' + body
    yield "an attribute more", head[:-1] + b' zz="zz">' + body
    yield "single quotes", _ATTRIBUTE.sub(rb" \1='\2'", data)
    yield "two blanks", _ATTRIBUTE.sub(rb'  \1="\2"', data)
    yield "blanks before the end", data.replace(b'">', b'" >')
    yield "character references", re.sub(rb'="([A-Za-z])', lambda m: b'="&#%d;' % m[1][0], data, count=5)
    yield "CR LF", data.replace(b"\n", b"\r\n")
    yield "empty elements opened", re.sub(rb"<([\w:]+)([^<>]*)/>", rb"<\1\2></\1>", data)
    yield "no line breaks in base64", re.sub(rb"(?<=[A-Za-z0-9+/])\n(?=[A-Za-z0-9+/=])", b"", data)
    yield "UTF-16", data.decode().encode("utf-16")
    yield "a byte order mark", b"\xef\xbb\xbf" + data
    yield "depth", head + b"<x>" * 5000 + b"</x>" * 5000 + body


def _signed(data: bytes, signature: bytes) -> Iterator[tuple[str, bytes]]:
    """The signature itself: algorithms, transforms, certificates."""
    for algorithm in sorted(set(re.findall(rb'Algorithm="([^"]*)"', signature))):
        for other in (b"", b"none", b"http://www.w3.org/2000/09/xmldsig#hmac-sha1", algorithm.upper()):
            yield f"{algorithm.decode()} now {other.decode()!r}", data.replace(algorithm, other)
    for name in (rb"Transform", rb"Transforms", rb"Reference", rb"KeyInfo", rb"SignatureValue", rb"DigestValue"):
        pattern = re.compile(rb"<((?:\w+:)?" + name + rb")[ >/].*?(?:</\1>|/>)", re.DOTALL)
        if found := pattern.search(data):
            element = found.group()
            yield f"without {name.decode()}", data.replace(element, b"", 1)
            yield f"two of {name.decode()}", data.replace(element, element * 2, 1)
    certificates = re.findall(rb"<(?:\w+:)?X509Certificate>.*?</(?:\w+:)?X509Certificate>", signature, re.DOTALL)
    for at, one in enumerate(certificates):
        yield f"without certificate {at}", data.replace(one, b"", 1)
        yield f"certificate {at} twice", data.replace(one, one * 2, 1)
        for other in certificates[at + 1 :]:
            swapped = data.replace(one, b"\1").replace(other, one).replace(b"\1", other)
            yield f"certificates exchanged at {at}", swapped


def _at_every_place(data: bytes) -> Iterator[tuple[str, bytes]]:
    """A comment, a CDATA section, a blank or a reference in every text; every attribute changed, gone or doubled."""
    for found in _TEXT.finditer(data):
        start, stop = found.span(1)
        middle = (start + stop) // 2
        for what, piece in (("a comment", b"<!-- -->"), ("CDATA", b"<![CDATA[]]>"), ("a blank", b" ")):
            yield f"{what} in the text at 0x{start:x}", data[:middle] + piece + data[middle:]
    for found in _ATTRIBUTE.finditer(data):
        start, stop = found.span()
        yield f"without the attribute at 0x{start:x}", data[:start] + data[stop:]
        yield f"the attribute at 0x{start:x} twice", data[:stop] + found.group() + data[stop:]
        name, value = found.groups()
        for other in (b"", value[::-1], value.upper(), value.lower(), value + b" ", b"\t" + value):
            if other != value:
                yield (
                    f"{name.decode()} at 0x{start:x} is {other[:12]!r}",
                    (data[:start] + b" " + name + b'="' + other + b'"' + data[stop:]),
                )


def _root_of(data: bytes) -> tuple[bytes, bytes]:
    head = _ROOT.match(data)
    assert head is not None
    return head.group(), data[data.rindex(b"</") :]


def _close(signature: bytes) -> bytes:
    return signature[signature.rindex(b"</") :]
