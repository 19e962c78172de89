"""The level of JSON: the same document in other characters, and documents that two readers could read differently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from proof.mutants._change import Changes
from proof.specimens import Specimen

_OTHERS: tuple[Any, ...] = (None, True, 0, -1, 1.5, 2**64, "", "x", [], {}, ["x"])


class _Written(str):
    """Text that stands in the document as it is."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, in order, and twice where they are twice."""


def changes(each: Specimen, part: str) -> Changes:
    """At every member: doubled, renamed, left out, exchanged with the next, another value, another spelling."""
    data = each.parts[part]
    if data[:1] != b"{":
        return
    document = json.loads(data, object_pairs_hook=_Pairs)
    for what, text in _spellings(data.decode()):
        yield what, partial(each.with_part, part, text)
    for path, pairs in _objects(document, ()):
        for at in range(len(pairs)):
            for what, others in _members(pairs, at):
                where = f"{what} at {'.'.join(map(str, (*path, pairs[at][0])))}"
                yield where, partial(_changed, each, part, document, path, others)


def _spellings(text: str) -> Iterator[tuple[str, bytes]]:
    for at in (1, len(text) - 1, text.index(":"), text.index(":") + 1, text.index(",")):
        for blank in (" ", "\n", "\t", "\ufeff", "\u00a0"):
            yield f"{blank!r} at {at}", (text[:at] + blank + text[at:]).encode()
    name = text[2 : text.index('"', 2)]
    yield "an escaped letter", text.replace(name, f"\\u{ord(name[0]):04x}{name[1:]}", 1).encode()
    yield "a byte order mark", b"\xef\xbb\xbf" + text.encode()
    yield "UTF-16", text.encode("utf-16")
    yield "a comma at the end", (text[:-1] + ",}").encode()
    yield "in a list", f"[{text}]".encode()
    yield "indented", json.dumps(json.loads(text), indent=1).encode()
    yield "sorted", json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode()


def _members(pairs: _Pairs, at: int) -> Iterator[tuple[str, _Pairs]]:
    name, value = pairs[at]
    before, after = pairs[:at], pairs[at + 1 :]
    yield "doubled", _Pairs([*before, (name, value), (name, value), *after])
    yield "doubled, first null", _Pairs([*before, (name, None), (name, value), *after])
    yield "doubled, last null", _Pairs([*before, (name, value), *after, (name, None)])
    yield "left out", _Pairs([*before, *after])
    yield "renamed", _Pairs([*before, (name + "_", value), *after])
    yield "in capitals", _Pairs([*before, (name.swapcase(), value), *after])
    yield "one more", _Pairs([*before, (name, value), ("x-more", value), *after])
    if after:
        yield "exchanged with the next", _Pairs([*before, after[0], (name, value), *after[1:]])
    for other in _OTHERS:
        yield f"now {other!r}", _Pairs([*before, (name, other), *after])
    if isinstance(value, int):
        for text in (f"{value}.0", f"{value}e0", f"0{value}", f"+{value}"):
            yield f"written {text}", _Pairs([*before, (name, _Written(text)), *after])
    if isinstance(value, str) and value:
        for other in (value.upper(), value.lower(), value + " ", value[:-1], f"\0{value}"):
            if other != value:
                yield "another text", _Pairs([*before, (name, other), *after])
        escaped = f'"\\u{ord(value[0]):04x}{json.dumps(value[1:])[1:]}'
        yield "an escaped letter", _Pairs([*before, (name, _Written(escaped)), *after])


def _objects(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], _Pairs]]:
    if isinstance(value, _Pairs):
        yield path, value
        for name, inner in value:
            yield from _objects(inner, (*path, name))
    elif isinstance(value, list):
        for at, inner in enumerate(value[:2]):
            yield from _objects(inner, (*path, at))


def _changed(each: Specimen, part: str, document: Any, path: tuple[str | int, ...], others: _Pairs) -> dict[str, bytes]:
    return dict(each.with_part(part, _write(_rebuilt(document, path, others)).encode("utf-8", "surrogatepass")))


def _rebuilt(value: Any, path: tuple[str | int, ...], others: _Pairs) -> Any:
    if not path:
        return others
    if isinstance(value, _Pairs):
        return _Pairs([(n, _rebuilt(inner, path[1:], others) if n == path[0] else inner) for n, inner in value])
    return [_rebuilt(inner, path[1:], others) if at == path[0] else inner for at, inner in enumerate(value)]


def _write(value: Any) -> str:
    """Without spaces, in the given order: what is not changed stays as it was, byte for byte."""
    if isinstance(value, _Written):
        return str(value)
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{_write(inner)}" for name, inner in value) + "}"
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_write, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
