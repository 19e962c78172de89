"""The console that everything is shown on."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from hermetic.cli._visible import visible

__all__ = ["PlainConsole"]


class PlainConsole(Console):
    """Styles are the console's own: no text that is shown on it can carry a control sequence."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
