"""Finds every check in a module's source, and deletes one.

What counts as a check, and what its deletion is:

    raise        raise X(…)                                  → pass
    operand      an operand of a condition that refuses      → the value that refuses least
    bound        one side of a <= x <= b                     → gone
    element      one element of (a, b) != (c, d)             → gone
    call         require_…(…), check_…(…) as a statement     → pass
    good         what a _check(…, good, …) asks              → True
    yield        yield _check(…)                             → never
    returned     one check of the checks that are returned   → gone
    answer       return … in a function that answers a bool  → True
    constraint   Meta(pattern=…, ge=…, …)                    → without it
    strict       forbid_unknown_fields=True                  → without it
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType

from proof.checks import _weaken as weaken
from proof.checks._weaken import Edit

_STATEMENT = re.compile(r"_?(require|check|bounded|exactly|refuse|demand|expect|reject|end$|verify|alive|lint)")
_MANY_CHECKS = re.compile(r"Check|Finding")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """One check of one module.  ``node`` and ``edit`` say what to change, ``lines`` which lines a test has to execute.

    ``function`` and ``text`` name it in the written list: they stay the same when lines move.
    """

    module: str
    path: Path
    function: str
    kind: str
    text: str
    line: int
    lines: tuple[int, ...]
    node: int = field(repr=False)
    edit: Edit = field(repr=False)
    again: int = 0

    @property
    def name(self) -> str:
        """Tells it from every other deletion."""
        again = f" #{self.again + 1}" if self.again else ""
        return f"{self.module}:{self.function}: {self.kind}: {self.text}{again}"

    def compiled(self) -> CodeType:
        """The module's code without this check."""
        tree = ast.parse(self.path.read_bytes())
        target = list(ast.walk(tree))[self.node]
        _Replace(target, self.edit).visit(tree)
        return compile(ast.fix_missing_locations(tree), str(self.path), "exec", dont_inherit=True)


def find(module: str, path: Path, answers: Answers) -> list[Deletion]:
    """Every deletion in ``module``, in the order of its lines.  ``answers`` as :func:`answers_of` finds them."""
    tree = ast.parse(path.read_bytes())
    places = {node: place for place, node in enumerate(ast.walk(tree))}
    found: list[Deletion] = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for function, kind, node, edit, lines in sorted(_checks(tree, answers), key=lambda found: found[2].lineno):
        text = " ".join(ast.unparse(node).split())[:160]
        seen[function, kind, text] += 1
        found.append(
            Deletion(
                module=module,
                path=path,
                function=function,
                kind=kind,
                text=text,
                line=node.lineno,
                lines=lines,
                node=places[node],
                edit=edit,
                again=seen[function, kind, text] - 1,
            )
        )
    return found


Answers = Mapping[str, int]
"""Name of a function that records a check → the place of the parameter ``good``, which says how it ended."""


def answers_of(paths: Iterable[Path]) -> Answers:
    """Those that are defined in ``paths``."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                if "good" in names:
                    found[node.name] = names.index("good") - (names[0] in ("self", "cls"))
    return found


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, edit: Edit) -> None:
        self._target, self._edit = target, edit

    def visit(self, node: ast.AST) -> ast.AST:
        return self._edit(node) if node is self._target else super().visit(node)


_Found = tuple[str, str, ast.expr | ast.stmt, Edit, tuple[int, ...]]


def _checks(tree: ast.Module, answers: Answers) -> Iterator[_Found]:
    """(function, kind, node, edit, lines of which a test must execute one)."""
    for function, node, owner in _with_function(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield function, "raise", node, weaken.to_pass, _span(node)
        elif isinstance(node, ast.If):
            refusals = [line for inner in node.body if isinstance(inner, ast.Raise) for line in _span(inner)]
            for kind, part, edit in weaken.condition(node.test, positive=True) if refusals else ():
                yield function, kind, part, edit, tuple(refusals)
        elif isinstance(node, ast.Expr):
            yield from _of_statement(function, node, owner)
        elif isinstance(node, ast.Call):
            yield from _of_call(function, node, answers)
        elif isinstance(node, ast.Return) and node.value is not None and owner is not None:
            yield from _of_return(function, node, node.value, owner)
        elif isinstance(node, ast.ClassDef):
            for keyword in node.keywords:
                if keyword.arg == "forbid_unknown_fields":
                    yield f"{function}.{node.name}".lstrip("."), "strict", keyword.value, weaken.to_false, ()


def _of_statement(function: str, node: ast.Expr, owner: ast.FunctionDef | None) -> Iterator[_Found]:
    value = node.value
    if isinstance(value, ast.Call):
        if any(_STATEMENT.match(name) for name in _called(value)):
            yield function, "call", node, weaken.to_pass, _span(node)
    elif isinstance(value, ast.Yield | ast.YieldFrom) and _MANY_CHECKS.search(_returns(owner)):
        yield function, "yield", node, weaken.to_no_yield, _span(node)


def _of_call(function: str, node: ast.Call, answers: Answers) -> Iterator[_Found]:
    name = _name(node.func)
    if name == "Meta":
        for keyword in node.keywords:
            yield function, f"constraint {keyword.arg}", node, weaken.without_keyword(keyword.arg), ()
    elif name in answers:
        named = [keyword.value for keyword in node.keywords if keyword.arg == "good"]
        for part in named or node.args[answers[name] : answers[name] + 1]:
            yield function, "good", part, weaken.to_true, _span(node)
            for kind, inner, edit in weaken.condition(part, positive=False):
                yield function, kind, inner, edit, _span(node)


def _of_return(function: str, node: ast.Return, value: ast.expr, owner: ast.FunctionDef) -> Iterator[_Found]:
    returns = _returns(owner)
    if returns == "bool" and not isinstance(value, ast.Constant):
        yield function, "answer", value, weaken.to_true, _span(node)
        for kind, inner, edit in weaken.condition(value, positive=False):
            if inner is not value:
                yield function, kind, inner, edit, _span(node)
    elif isinstance(value, ast.Tuple) and _MANY_CHECKS.search(returns):
        for element in value.elts:
            if isinstance(element, ast.Call | ast.Starred):
                yield function, "returned", element, weaken.gone, _span(element)


def _returns(owner: ast.FunctionDef | None) -> str:
    """The annotation of what a function returns."""
    return "" if owner is None or owner.returns is None else ast.unparse(owner.returns)


def _with_function(tree: ast.Module) -> Iterator[tuple[str, ast.AST, ast.FunctionDef | None]]:
    """Every node with the dotted name of what it stands in, and the innermost function."""

    def walk(
        node: ast.AST, name: str, owner: ast.FunctionDef | None
    ) -> Iterator[tuple[str, ast.AST, ast.FunctionDef | None]]:
        for child in ast.iter_child_nodes(node):
            yield name, child, owner
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inner = child if isinstance(child, ast.FunctionDef) else owner
                yield from walk(child, f"{name}.{child.name}".lstrip("."), inner)
            else:
                yield from walk(child, name, owner)

    return walk(tree, "", None)


def _called(call: ast.Call) -> Iterator[str]:
    """The names of everything that a statement calls."""
    for node in ast.walk(call):
        if isinstance(node, ast.Call):
            yield _name(node.func)


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _span(node: ast.stmt | ast.expr) -> tuple[int, ...]:
    return tuple(range(node.lineno, (node.end_lineno or node.lineno) + 1))
