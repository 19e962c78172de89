"""Schemas: everything that is accepted is kept to, and the rest is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from hermetic.serve.errors import ApiError
from hermetic.serve.schemas import check_schema

PLACE = "schema"

GOOD: list[Any] = [
    {},
    True,
    {"type": "object", "properties": {"pattern": {"type": "string", "minLength": 1}}, "required": ["pattern"]},
    {"type": "array", "items": {"enum": ["a", 1]}, "minItems": 1, "maxItems": 2},
    {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": 4}]},
    {"type": "integer", "minimum": 1, "maximum": 2, "exclusiveMinimum": 0, "exclusiveMaximum": 3},
    {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"type": "string", "format": "date"}}},
    {"$ref": "#/$defs/tree", "$defs": {"tree": {"properties": {"left": {"$ref": "#/$defs/tree"}}}}},
    {"allOf": [{"$ref": "#/definitions/x"}], "definitions": {"x": {"properties": {"a": {}}}, "y": True}},
    {"properties": {"$ref": {"type": "string"}}, "default": {"$ref": "#/nowhere"}},
    {"enum": list(range(499))},
    {"type": "object", "additionalProperties": False, "title": "t", "description": "d", "default": {"pattern": "x"}},
]

BAD: list[tuple[Any, str]] = [
    ({"type": "string", "pattern": "^a$"}, "schema.pattern"),
    ({"type": "object", "patternProperties": {"a": {}}}, "schema.patternProperties"),
    ({"type": "object", "properties": {"a": {"type": "string", "pattern": "a"}}}, "schema.properties.pattern"),
    ({"type": "number", "minimum": 1}, "schema.minimum"),
    ({"not": {}}, "schema.not"),
    ({"if": {}, "then": {}}, "schema.if"),
    ({"type": "array", "uniqueItems": True}, "schema.uniqueItems"),
    ({"type": "string", "format": "email"}, "schema.format"),
    ({"anyOf": [{"anyOf": [{"multipleOf": 2}]}]}, "schema.anyOf.anyOf.multipleOf"),
    ({"anyOf": {"a": 1}}, "schema.anyOf"),
    ({"properties": []}, "schema.properties"),
    ({"items": []}, "schema.items"),
    ({"additionalProperties": 1}, "schema.additionalProperties"),
    ({"x\x00": 1}, "schema"),
    (None, "schema"),
    ({"$ref": "#"}, "schema.$ref"),
    ({"$ref": 5}, "schema.$ref"),
    ({"$ref": "https://example.org/schema"}, "schema.$ref"),
    ({"$ref": "#/$defs/x", "$defs": {"y": {}}}, "schema.$ref"),
    ({"properties": {"a": {"$ref": "#/properties/b"}, "b": {}}}, "schema.$ref"),
    ({"default": {"$ref": "#/default"}, "allOf": [{"$ref": "#/default"}]}, "schema.$ref"),
    ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/a"}}}, "schema.$ref"),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{}, {"$ref": "#/$defs/a"}]}}}, "schema.$ref"),
    ({"$defs": {"a": {"allOf": [{"oneOf": [{"$ref": "#/$defs/a"}]}]}}}, "schema.$ref"),
    ({"enum": list(range(500))}, "schema"),
    ({"type": ["string"] * 500}, "schema"),
    ({"required": ["a"] * 500}, "schema"),
    ({"properties": {f"p{number}": {} for number in range(500)}}, "schema"),
    ({"items": {"anyOf": [{"const": number} for number in range(500)]}}, "schema"),
]


@pytest.mark.parametrize("schema", GOOD)
def test_what_the_engine_keeps_to(schema: Any) -> None:
    check_schema(schema, place=PLACE)


@pytest.mark.parametrize(("schema", "param"), BAD)
def test_what_it_would_ignore(schema: Any, param: str) -> None:
    with pytest.raises(ApiError) as refusal:
        check_schema(schema, place=PLACE)
    assert (refusal.value.status, refusal.value.param) == (400, param)


def test_a_schema_has_a_bounded_depth() -> None:
    schema: dict[str, Any] = {}
    for _ in range(32):
        schema = {"items": schema}
    check_schema(schema, place=PLACE)
    with pytest.raises(ApiError):
        check_schema({"items": schema}, place=PLACE)
