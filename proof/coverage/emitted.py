"""Which checks there are: what verifiers say of every specimen, and what the source writes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hermetic.verify import Outcome
from proof import ROOT
from proof.specimens import all_specimens

_PACKAGES = ("verify", "policy", "identity")
_RECORDS = re.compile(r"step|not_performed|_?check|_?member|_?expect|_?flag")
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9-]+)*")


_FOLDS = (
    (re.compile(r"^(gpu|switch|device)\d+\."), ""),
    (re.compile(r"^nvidia\.(driver|firmware)-rim\.(?=.)"), "rim."),
    (re.compile(r"(?<=\.authority)-\d+$"), ""),
    (re.compile(r"(?<=\.)(gpu|switch|device)\d+(?=\.)"), r"\1"),
)


def fold(name: str) -> str:
    """The name of a check without what only says on which device, for which manifest or about which authority."""
    for pattern, replacement in _FOLDS:
        name = pattern.sub(replacement, name)
    return name


def passed() -> dict[str, dict[str, list[str]]]:
    """TEE → check → the specimens that pass it, in order; none for one that was only ever not performed."""
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for each in all_specimens():
        said: Any = each.judge(each.parts)
        for name, outcome in said[-1]:
            specimens = found[each.tee].setdefault(fold(name), [])
            if outcome is Outcome.PASS and each.name not in specimens:
                specimens.append(each.name)
    return found


def written() -> set[str]:
    """The names of checks that the source writes out: whole, or the part behind a prefix that is computed.

    For telling cheaply whether a page still knows them all.
    """
    return {
        name
        for package in _PACKAGES
        for path in sorted((ROOT / "src" / "hermetic" / package).rglob("*.py"))
        for name in _literals(ast.parse(path.read_bytes()))
    }


def _literals(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function, first = node.func, node.args[0]
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        titled = len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
        text = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
        if _RECORDS.fullmatch(name) and titled and _NAME.fullmatch(text):
            yield text
