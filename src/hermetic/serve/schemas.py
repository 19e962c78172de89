"""Which JSON schemas an answer can be held to.

The engine turns a schema into a grammar and ignores, with a warning that quotes it, whatever it cannot express.  An
answer that only looks checked is worse than a refusal, so a schema may use nothing but what is kept to the letter.

A schema comes from whoever asks, and one engine serves everybody: a reference that leads back to itself would end the
process, and ten thousand alternatives would hold up every other answer while one token is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hermetic.serve.errors import ApiError

__all__ = ["check_schema"]

_DEPTH = 32
_CHOICES = 500
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})

_NOTES = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples"})
_VALUES = frozenset({"type", "enum", "const", "required", "$ref", "minLength", "maxLength", "minItems", "maxItems"})
_INTEGER_ONLY = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_ONE = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS = frozenset({"properties", "$defs", "definitions"})


_ALTERNATIVES = ("enum", "type", "required")
_REFERENCE = re.compile(r"#/(\$defs|definitions)/([^/~%#]+)")


def check_schema(schema: object, *, place: str) -> None:
    """Raises ApiError (400) naming the first keyword in ``schema`` that the engine would not keep to."""
    _check_keywords(schema, place=place, depth=0)
    if isinstance(schema, dict):
        _check_choices(schema, place=place)
        _check_references(schema, place=place)


def _check_keywords(schema: object, *, place: str, depth: int) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict) or depth > _DEPTH:
        raise ApiError.invalid(place, f"{place}: a schema is an object, at most {_DEPTH} deep")
    for keyword, value in schema.items():
        where = f"{place}.{keyword}"
        if keyword in _ONE:
            _check_keywords(value, place=where, depth=depth + 1)
        elif keyword in _LISTS and isinstance(value, list):
            for inner in value:
                _check_keywords(inner, place=where, depth=depth + 1)
        elif keyword in _MAPS and isinstance(value, dict):
            for inner in value.values():
                _check_keywords(inner, place=where, depth=depth + 1)
        elif not _kept(keyword, value, schema):
            raise ApiError.unsupported(where if keyword.isprintable() and len(keyword) <= 64 else place)


def _check_choices(schema: dict[str, Any], *, place: str) -> None:
    """Each token is held against every alternative that is still open, so their number is bounded."""
    choices = 0
    for inner in _schemas(schema):
        choices += 1 + sum(len(value) for name in _ALTERNATIVES if isinstance(value := inner.get(name), list))
    if choices > _CHOICES:
        raise ApiError.invalid(place, f"{place}: more than {_CHOICES} subschemas and alternatives")


def _check_references(schema: dict[str, Any], *, place: str) -> None:
    """A reference names a definition of the root's that is there, and following it, something is read in between
    before it comes back: the engine follows what leads straight to itself until its stack ends."""
    definitions = {
        (keyword, name): inner
        for keyword in ("$defs", "definitions")
        for name, inner in schema.get(keyword, {}).items()
        if isinstance(inner, dict)
    }
    leads = {key: frozenset(map(_target, _straight(inner))) for key, inner in definitions.items()}
    if not all(_target(inner["$ref"]) in definitions for inner in _schemas(schema) if "$ref" in inner):
        raise ApiError.unsupported(f"{place}.$ref")
    # Taken away one after another, once they lead to nothing that is left: what remains leads back to itself.
    while ends := [key for key, targets in leads.items() if not targets & leads.keys()]:
        for key in ends:
            del leads[key]
    if leads:
        raise ApiError.invalid(f"{place}.$ref", f"{place}.$ref: a definition that is nothing but itself")


def _target(reference: object) -> tuple[str, str] | None:
    found = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    return None if found is None else (found[1], found[2])


def _straight(schema: dict[str, Any]) -> Iterator[object]:
    """The references that say what ``schema`` itself is, not what is inside of it."""
    if "$ref" in schema:
        yield schema["$ref"]
    for keyword in ("allOf", "anyOf", "oneOf"):
        for inner in schema.get(keyword, ()):
            if isinstance(inner, dict):
                yield from _straight(inner)


def _schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """``schema`` and every schema in it.  Its keywords have been checked."""
    yield schema
    for keyword, value in schema.items():
        found = value if keyword in _LISTS else value.values() if keyword in _MAPS else [value] * (keyword in _ONE)
        for inner in found:
            if isinstance(inner, dict):
                yield from _schemas(inner)


def _kept(keyword: str, value: object, schema: dict[str, Any]) -> bool:
    """Whether a keyword without schemas inside is obeyed, or says nothing that could be."""
    if keyword == "format":
        return value in _FORMATS
    if keyword in _INTEGER_ONLY:
        return schema.get("type") == "integer"
    return keyword in _NOTES or keyword in _VALUES
