"""What every source of mutants yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proof.specimens import Parts

Change = tuple[str, Callable[[], Parts]]
"""Where the change is, for a person; and the changed parts, made only if somebody wants them."""

Changes = Iterator[Change]
