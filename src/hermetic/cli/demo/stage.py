"""How the demo looks: numbered steps, one sentence each for what just became true, with its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

__all__ = ["Stage", "hexdump"]


@dataclass
class Stage:
    """Writes to ``out``.  Without ``fast`` it pauses after each step, so that a person can read along."""

    out: Console
    fast: bool = False
    _began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, number: int, title: str) -> Iterator[None]:
        """One step; what happens inside is timed."""
        self.out.print()
        self.out.print(Rule(Text(f" {number}  {title} ", style="bold"), align="left", style="cyan"))
        self._step_began = time.monotonic()
        yield
        if not self.fast:
            time.sleep(1.2)

    def true(self, sentence: str) -> None:
        """What just became true, with the time it took since the step began."""
        seconds = time.monotonic() - self._step_began
        self.out.print(Text.assemble(("✓ ", "bold green"), sentence, (f"   {seconds:.1f} s", "dim")))

    def refused(self, what: str, reason: str) -> None:
        self.out.print(Text.assemble(("✗ refused ", "bold red"), (what, "bold")))
        self.out.print(Padding(Text(reason), (0, 0, 0, 10)))

    def fact(self, name: str, value: str, style: str = "") -> None:
        """A line of detail, cut to the width of the screen."""
        self.out.print(Text.assemble((f"  {name:<14}", "dim"), (value, style)), no_wrap=True, overflow="ellipsis")

    def show(self, something: RenderableType) -> None:
        self.out.print(Padding(something, (0, 0, 0, 2)))

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began


def hexdump(data: bytes, rows: int = 3) -> Text:
    """The first bytes as hex and as characters, the way one looks at a disk or a network."""
    lines = []
    for start in range(0, min(len(data), rows * 16), 16):
        row = data[start : start + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        lines.append(f"{start:04x}  {row.hex(' '):<47}  {letters}")
    return Text("\n".join(lines), style="dim")
