"""Which JSON schemas an answer can be held to.

The engine turns a schema into a grammar and ignores, with a warning that quotes it, whatever it cannot express.  An
answer that only looks checked is worse than a refusal, so a schema may use nothing but what is kept to the letter.
"""

from __future__ import annotations

from typing import Any

from hermetic.serve.errors import ApiError

__all__ = ["check_schema"]

_DEPTH = 32
_FORMATS = frozenset({"date", "time", "date-time", "uuid"})

_NOTES = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples"})
_VALUES = frozenset({"type", "enum", "const", "required", "$ref", "minLength", "maxLength", "minItems", "maxItems"})
_INTEGER_ONLY = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_ONE = frozenset({"items", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_MAPS = frozenset({"properties", "$defs", "definitions"})


def check_schema(schema: object, *, place: str, depth: int = 0) -> None:
    """Raises ApiError (400) naming the first keyword in ``schema`` that the engine would not keep to."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict) or depth > _DEPTH:
        raise ApiError.invalid(place, f"{place}: a schema is an object, at most {_DEPTH} deep")
    for keyword, value in schema.items():
        where = f"{place}.{keyword}"
        if keyword in _ONE:
            check_schema(value, place=where, depth=depth + 1)
        elif keyword in _LISTS and isinstance(value, list):
            for inner in value:
                check_schema(inner, place=where, depth=depth + 1)
        elif keyword in _MAPS and isinstance(value, dict):
            for inner in value.values():
                check_schema(inner, place=where, depth=depth + 1)
        elif not _kept(keyword, value, schema):
            raise ApiError.unsupported(where if keyword.isprintable() and len(keyword) <= 64 else place)


def _kept(keyword: str, value: object, schema: dict[str, Any]) -> bool:
    """Whether a keyword without schemas inside is obeyed, or says nothing that could be."""
    if keyword == "format":
        return value in _FORMATS
    if keyword in _INTEGER_ONLY:
        return schema.get("type") == "integer"
    return keyword in _NOTES or keyword in _VALUES
