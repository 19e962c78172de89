"""Text that others wrote, such as evidence and what refuses it, made fit for a terminal."""

from __future__ import annotations

__all__ = ["on_one_line", "visible"]


def visible(text: str) -> str:
    """``text`` in which whatever cannot be seen is written out, ``\\x1b`` for an escape; but for line feeds.

    What is written out could otherwise move the cursor, rename the window, or turn the order of letters around
    (U+202E), and so change what a reader takes for ours.
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else _written(letter) for letter in text)


def on_one_line(text: str) -> str:
    """The same, of what must not begin a line of its own."""
    return visible(text).replace("\n", r"\n")


def _written(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
