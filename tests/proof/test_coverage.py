"""docs/coverage.md still knows every check."""

from __future__ import annotations

from proof.coverage.emitted import fold, passed, written
from proof.coverage.page import PAGE, names_on

from vectors import needs_vectors


@needs_vectors
def test_every_check_that_a_verifier_makes_is_on_the_page() -> None:
    made = {name for checks in passed().values() for name in checks}
    assert made - names_on(PAGE.read_text(encoding="utf-8")) == set(), "run: make coverage"


def test_every_check_that_the_source_names_is_on_the_page() -> None:
    page = names_on(PAGE.read_text(encoding="utf-8"))
    known = page | {name.split(".", count)[-1] for name in page for count in (1, 2, 3)}
    assert written() - known == set(), "run: make coverage"


def test_what_a_check_is_about_is_not_in_its_name() -> None:
    """One row for a check of every device and manifest, however many there are."""
    page = names_on(PAGE.read_text(encoding="utf-8"))
    assert {name for name in page if fold(name) != name} == set()
    assert len(page) > 100
