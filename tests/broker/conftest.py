"""One broker for the tests that only ask it things; each test that alters one makes its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker_support import OTHER, RESOURCE, House, Running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    house = House(tmp_path_factory.mktemp("broker"), names=(RESOURCE, OTHER))
    with house.serving() as broker:
        yield broker


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)
