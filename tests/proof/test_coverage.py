"""docs/coverage.md still knows every check."""

from __future__ import annotations

from proof.coverage.emitted import passed, written
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


def test_what_the_page_names_still_exists() -> None:
    """By its last part, which the source writes out or computes from a list that it writes out."""
    page = names_on(PAGE.read_text(encoding="utf-8"))
    assert {name for name in page if not name.replace(".", "").replace("-", "").isalnum()} == set()
    assert len(page) > 100
