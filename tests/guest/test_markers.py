"""Environment markers, against ``packaging`` as a second opinion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker

from hermetic.errors import Misconfigured
from hermetic.guest.markers import holds, marker_environment

_VERSION_NAMES = st.sampled_from(["python_version", "python_full_version"])
_VERSIONS = st.sampled_from(["3", "3.8", "3.9", "3.10", "3.11", "3.11.0", "3.11.7", "3.12", "4"])
_STRINGS = st.sampled_from(["linux", "win32", "Linux", "CPython", "PyPy", "x86_64", "aarch64", "posix"])
_STRING_NAMES = st.sampled_from(
    ["sys_platform", "platform_system", "platform_python_implementation", "platform_machine", "os_name"]
)
_QUOTES = st.sampled_from(["'", '"'])


@st.composite
def _comparisons(draw: st.DrawFn) -> str:
    quote = draw(_QUOTES)
    if draw(st.booleans()):
        operator = draw(st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]))
        return f"{draw(_VERSION_NAMES)} {operator} {quote}{draw(_VERSIONS)}{quote}"
    operator = draw(st.sampled_from(["==", "!=", "in", "not in"]))
    return f"{draw(_STRING_NAMES)} {operator} {quote}{draw(_STRINGS)}{quote}"


_markers = st.recursive(
    _comparisons(),
    lambda inner: st.builds(
        lambda a, joint, b, brackets: f"({a} {joint} {b})" if brackets else f"{a} {joint} {b}",
        inner,
        st.sampled_from(["and", "or"]),
        inner,
        st.booleans(),
    ),
    max_leaves=6,
)


@given(marker=_markers)
def test_agrees_with_packaging(marker: str) -> None:
    environment = marker_environment()
    assert holds(marker, {**environment, "extra": ""}) == Marker(marker).evaluate()


@given(extra=st.sampled_from(["serve", "http-2", "http_2", "HTTP.2"]))
def test_extras_are_compared_by_their_normal_form(extra: str) -> None:
    marker = 'extra == "http.2" and python_version >= "3.8"'
    assert holds(marker, {**marker_environment(), "extra": extra}) == Marker(marker).evaluate({"extra": extra})


def test_the_environment_is_packagings() -> None:
    from packaging.markers import default_environment

    theirs = {name: value for name, value in default_environment().items() if name != "extra"}
    assert marker_environment() == theirs


@pytest.mark.parametrize("version", ["3.11.0", "3.12.1"])
def test_wildcard_versions(version: str) -> None:
    environment = {"python_full_version": version}
    assert holds("python_full_version == '3.11.*'", environment) == version.startswith("3.11")
    assert holds("python_full_version != '3.11.*'", environment) != version.startswith("3.11")


@pytest.mark.parametrize(
    "marker",
    [
        "python_version",
        "python_version >=",
        "python_version >= '3' and",
        "(python_version >= '3'",
        "python_version >= '3')",
        "python_version >= 'three'",
        "python_version === '3.11'",
        "python_version ~= '3.11'",
        "sys_platform < 'linux'",
        "unheard_of == 'x'",
        "sys_platform == linux",
        "sys_platform == 'linux' %",
    ],
)
def test_what_is_not_understood_is_refused(marker: str) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        holds(marker, {**marker_environment(), "extra": ""})
