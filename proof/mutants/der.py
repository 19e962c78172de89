"""The level of DER: the same structure in other bytes, and structures that are nearly the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from proof.mutants._change import Changes
from proof.specimens import Specimen

_CONSTRUCTED = 0x20
_NULL = b"\x05\x00"


@dataclass(frozen=True, slots=True)
class Node:
    """One TLV; ``children`` where it is constructed, ``content`` where it is not."""

    tag: int
    content: bytes = b""
    children: tuple[Node, ...] | None = None

    def encode(self) -> bytes:
        body = self.content if self.children is None else b"".join(child.encode() for child in self.children)
        return bytes((self.tag,)) + _length(len(body)) + body


@dataclass(frozen=True, slots=True)
class Raw(Node):
    """A node whose bytes are given, as no encoder would write them."""

    def encode(self) -> bytes:
        return self.content


def changes(each: Specimen, part: str) -> Changes:
    """At every node: a length that is longer than needed or indefinite, the node doubled, left out, exchanged with the
    next, padded, under another tag, with a NULL behind it."""
    data = each.parts[part]
    if data[:1] != b"\x30" or (tree := _parse(data)) is None:
        return
    for path, node in _walk(tree, ()):
        for what, others in _variants(node):
            make = partial(_changed, each, part, tree, path, others)
            yield f"{what} at {'.'.join(map(str, path)) or 'the root'}", make


def _variants(node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    whole = node.encode()
    body = whole[1 + len(_length(_body_length(node))) :]
    size = len(body)
    yield "a length with a leading zero", (Raw(0, bytes((node.tag, 0x83)) + size.to_bytes(3, "big") + body),)
    if size < 0x80:
        yield "a long length", (Raw(0, bytes((node.tag, 0x81, size)) + body),)
    if node.tag & _CONSTRUCTED:
        yield "an indefinite length", (Raw(0, bytes((node.tag, 0x80)) + body + b"\0\0"),)
        yield "a NULL inside", (Raw(0, bytes((node.tag,)) + _length(size + 2) + body + _NULL),)
    yield "doubled", (node, node)
    yield "left out", ()
    yield "a NULL behind", (node, Raw(0, _NULL))
    yield "primitive for constructed", (Raw(0, bytes((node.tag ^ _CONSTRUCTED,)) + whole[1:]),)
    yield "one byte shorter", (Raw(0, bytes((node.tag,)) + _length(max(0, size - 1)) + body[:-1]),)
    yield "one zero more in front", (Raw(0, bytes((node.tag,)) + _length(size + 1) + b"\0" + body),)
    if node.tag == 0x01:
        yield "TRUE as 0x01", (Raw(0, b"\x01\x01\x01"),)
    for tag in {0x0C, 0x13, 0x16, 0x17, 0x18} - {node.tag}:
        if node.tag in (0x0C, 0x13, 0x16, 0x17, 0x18):
            yield f"tag 0x{tag:02x}", (replace(node, tag=tag),)


def _changed(
    each: Specimen, part: str, tree: Node, path: tuple[int, ...], others: tuple[Node, ...]
) -> dict[str, bytes]:
    data = b"".join(node.encode() for node in _rebuilt(tree, path, others))
    return dict(each.with_part(part, data))


def _rebuilt(tree: Node, path: tuple[int, ...], others: tuple[Node, ...]) -> tuple[Node, ...]:
    if not path:
        return others
    assert tree.children is not None
    at, children = path[0], tree.children
    return (replace(tree, children=(*children[:at], *_rebuilt(children[at], path[1:], others), *children[at + 1 :])),)


def _walk(node: Node, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Node]]:
    yield path, node
    for at, child in enumerate(node.children or ()):
        yield from _walk(child, (*path, at))


def _parse(data: bytes) -> Node | None:
    nodes = _parse_all(data)
    return nodes[0] if nodes is not None and len(nodes) == 1 else None


def _parse_all(data: bytes) -> tuple[Node, ...] | None:
    """None where it is no DER, which an octet string inside may well be."""
    nodes = []
    while data:
        if len(data) < 2:
            return None
        tag, length, start = data[0], data[1], 2
        if length & 0x80:
            start += length & 0x7F
            length = int.from_bytes(data[2:start], "big")
        body = data[start : start + length]
        if len(body) != length:
            return None
        children = _parse_all(body) if tag & _CONSTRUCTED else None
        nodes.append(Node(tag, body if children is None else b"", children))
        data = data[start + length :]
    return tuple(nodes)


def _body_length(node: Node) -> int:
    return len(node.content) if node.children is None else sum(len(child.encode()) for child in node.children)


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    body = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(body),)) + body
