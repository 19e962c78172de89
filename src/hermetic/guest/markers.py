"""Environment markers (PEP 508): the conditions under which a requirement applies.

Everything that the grammar allows and this reader does not know is refused, never guessed.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Mapping

from hermetic.errors import Misconfigured

__all__ = ["holds", "marker_environment"]

_TOKEN = re.compile(r"""\s*([()]|'[^']*'|"[^"]*"|<=|>=|===|==|!=|~=|<|>|not\s+in\b|[a-z_]+)""")
_VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version"})


def holds(marker: str, environment: Mapping[str, str]) -> bool:
    """Whether ``marker`` holds where ``environment`` gives each variable, ``extra`` included.  Raises Misconfigured."""
    return _Marker(marker, environment).holds()


def marker_environment() -> dict[str, str]:
    """The values of this interpreter's environment markers (PEP 508)."""
    version = sys.implementation.version
    suffix = "" if version.releaselevel == "final" else f"{version.releaselevel[0]}{version.serial}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": f"{version.major}.{version.minor}.{version.micro}{suffix}",
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "sys_platform": sys.platform,
    }


class _Marker:
    """A recursive-descent reader of one marker: ``or`` of ``and`` of comparisons and brackets."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._text = text
        self._environment = environment
        self._tokens = self._scan(text)

    def holds(self) -> bool:
        result = self._either()
        if self._tokens:
            raise self._unreadable()
        return result

    def _scan(self, text: str) -> list[str]:
        tokens, position = [], 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._unreadable()
            tokens.append(re.sub(r"\s+", " ", match[1]) if match[1].startswith("not") else match[1])
            position = match.end()
        return tokens

    def _either(self) -> bool:
        result = self._both()
        while self._take("or"):
            result = self._both() or result
        return result

    def _both(self) -> bool:
        result = self._comparison()
        while self._take("and"):
            result = self._comparison() and result
        return result

    def _comparison(self) -> bool:
        if self._take("("):
            result = self._either()
            if not self._take(")"):
                raise self._unreadable()
            return result
        if len(self._tokens) < 3:
            raise self._unreadable()
        left, operator, right = self._tokens[:3]
        del self._tokens[:3]
        return self._compare(left, operator, right)

    def _compare(self, left: str, operator: str, right: str) -> bool:
        a, b = self._value(left), self._value(right)
        if operator in ("in", "not in"):
            return (a in b) == (operator == "in")
        if "extra" in (left, right):
            a, b = _name(a), _name(b)
        if {left, right} & _VERSIONS:
            return self._compare_versions(a, operator, b)
        if operator in ("==", "!="):
            return (a == b) == (operator == "==")
        raise self._unreadable()

    def _compare_versions(self, left: str, operator: str, right: str) -> bool:
        if operator in ("==", "!=") and right.endswith(".*"):
            prefix = self._release(right.removesuffix(".*"))
            same = self._release(left)[: len(prefix)] == prefix
            return same == (operator == "==")
        a, b = self._release(left), self._release(right)
        width = max(len(a), len(b))
        a, b = a + (0,) * (width - len(a)), b + (0,) * (width - len(b))
        answers = {"<": a < b, "<=": a <= b, "==": a == b, "!=": a != b, ">=": a >= b, ">": a > b}
        if operator not in answers:
            raise self._unreadable()
        return answers[operator]

    def _release(self, text: str) -> tuple[int, ...]:
        # A pre-release of Python counts as its release here: no closure should differ between the two.
        match = re.fullmatch(r"(\d+(?:\.\d+)*)(?:(?:a|b|c|rc)\d+|\+)?", text.strip())
        if match is None:
            raise self._unreadable()
        return tuple(int(part) for part in match[1].split("."))

    def _value(self, token: str) -> str:
        if token[:1] in "'\"":
            return token[1:-1]
        value = self._environment.get(token)
        if value is None:
            raise self._unreadable()
        return value

    def _take(self, token: str) -> bool:
        if self._tokens[:1] != [token]:
            return False
        del self._tokens[0]
        return True

    def _unreadable(self) -> Misconfigured:
        return Misconfigured(f"an environment marker in the installed metadata cannot be read: {self._text!r}")


def _name(extra: str) -> str:
    return re.sub(r"[-_.]+", "-", extra).lower()
