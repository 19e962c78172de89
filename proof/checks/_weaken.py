"""Edits of a syntax tree that make a check refuse less."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial

# Edits go to other processes, so each is a function of a module or a partial of one.
Edit = Callable[[ast.AST], ast.AST]
Weakened = Iterator[tuple[str, ast.expr, Edit]]


def to_pass(node: ast.AST) -> ast.AST:
    return ast.copy_location(ast.Pass(), node)


def to_true(node: ast.AST) -> ast.AST:
    return ast.copy_location(ast.Constant(True), node)


def to_false(node: ast.AST) -> ast.AST:
    return ast.copy_location(ast.Constant(False), node)


def to_no_yield(node: ast.AST) -> ast.AST:
    """Still a generator, but one that never comes here."""
    return ast.copy_location(ast.If(ast.Constant(False), [ast.Expr(ast.Yield())], []), node)


def without_keyword(name: str | None) -> Edit:
    return partial(_without_keyword, name)


def _without_keyword(name: str | None, node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Call)
    node.keywords = [keyword for keyword in node.keywords if keyword.arg != name]
    return node


def gone(node: ast.AST) -> ast.AST:
    """An element of a tuple: nothing in its place."""
    return ast.copy_location(ast.Starred(ast.Tuple([], ast.Load()), ast.Load()), node)


def condition(test: ast.expr, *, positive: bool) -> Weakened:
    """Ways to make ``test`` true more rarely (where truth refuses: ``positive``), or more often (where it accepts)."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from condition(test.operand, positive=not positive)
    elif isinstance(test, ast.BoolOp):
        if isinstance(test.op, ast.Or) is positive:
            for value in test.values:
                yield "operand", value, to_false if positive else to_true
        for value in test.values:
            yield from condition(value, positive=positive)
    elif isinstance(test, ast.Compare):
        yield from _comparison(test, positive=positive)


def _comparison(test: ast.Compare, *, positive: bool) -> Weakened:
    if len(test.ops) > 1 and not positive:
        yield "last bound", test, _first_only
        yield "first bound", test, _last_only
    elif len(test.ops) == 1 and isinstance(test.ops[0], ast.NotEq if positive else ast.Eq):
        sides = (test.left, test.comparators[0])
        sizes = {len(side.elts) for side in sides if isinstance(side, ast.Tuple)}
        if len(sizes) == 1 and not any(
            isinstance(e, ast.Starred) for s in sides if isinstance(s, ast.Tuple) for e in s.elts
        ):
            for place in range(sizes.pop()):
                yield f"element {place}", test, partial(_without_element, place)


def _first_only(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Compare)
    return ast.copy_location(ast.Compare(node.left, node.ops[:1], node.comparators[:1]), node)


def _last_only(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.Compare)
    return ast.copy_location(ast.Compare(node.comparators[-2], node.ops[-1:], node.comparators[-1:]), node)


def _without_element(place: int, node: ast.AST) -> ast.AST:
    """``(a, b) != x`` becomes a comparison of everything but one element of both."""
    assert isinstance(node, ast.Compare)
    left, right = (_all_but(side, place) for side in (node.left, node.comparators[0]))
    return ast.copy_location(ast.Compare(left, node.ops, [right]), node)


def _all_but(side: ast.expr, place: int) -> ast.expr:
    if isinstance(side, ast.Tuple):
        return ast.Tuple([element for at, element in enumerate(side.elts) if at != place], ast.Load())
    cut = ast.parse(f"(lambda whole: whole[:{place}] + whole[{place + 1}:])(0)", mode="eval").body
    assert isinstance(cut, ast.Call)
    cut.args = [side]
    return cut
