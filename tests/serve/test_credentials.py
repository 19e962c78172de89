"""API keys: only digests are known, only right keys pass, and nothing passes by accident."""

from __future__ import annotations

import pytest

from hermetic.errors import Misconfigured
from hermetic.serve.credentials import ApiKeys, Principal
from hermetic.serve.errors import ApiError
from hermetic.wire import sha256_digest

ONE, TWO = sha256_digest(b"one"), sha256_digest(b"two")


def principal(key: str) -> Principal:
    return Principal(sha256_digest(key.encode()))


def test_a_key_is_its_principal() -> None:
    keys = ApiKeys((ONE, TWO))
    assert keys.principal("Bearer one") == keys.owner("bearer  one") == principal("one")
    assert keys.principal("Bearer two") == principal("two")


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer three", "one", "Basic one", f"Bearer {ONE}", "Bearer one two", "Bearer On"],
)
def test_anything_else_is_refused(authorization: str | None) -> None:
    keys = ApiKeys((ONE, TWO))
    for ask in (keys.principal, keys.owner):
        with pytest.raises(ApiError) as refusal:
            ask(authorization)
        assert refusal.value.status == 401


def test_a_key_has_a_bounded_length() -> None:
    long = "k" * 5000
    with pytest.raises(ApiError):
        ApiKeys((sha256_digest(long.encode()),)).principal(f"Bearer {long}")


def test_an_open_server_takes_anybody_and_owns_nothing_without_a_token() -> None:
    keys = ApiKeys((), open_to_all=True)
    assert keys.principal(None) is None
    assert keys.principal("Bearer anything") == principal("anything")
    with pytest.raises(ApiError) as refusal:
        keys.owner(None)
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    ("digests", "open_to_all"), [((), False), ((ONE,), True), (("one",), False), ((ONE.upper(),), False)]
)
def test_an_unclear_configuration_is_refused(digests: tuple[str, ...], open_to_all: bool) -> None:
    with pytest.raises(Misconfigured):
        ApiKeys(digests, open_to_all=open_to_all)
