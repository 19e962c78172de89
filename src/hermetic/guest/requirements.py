"""Which distributions an extra needs: the closure over installed metadata (PEP 508 requirements, core metadata).

Versions are not solved: what is installed is what will run, so only names, extras and environment markers are read.  A
marker that this reader does not understand is refused, never guessed: a guess would change what is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from hermetic.errors import Misconfigured
from hermetic.guest.markers import holds, marker_environment

__all__ = ["Requirement", "closure", "normalised"]

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?([^;]*)(?:;(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One ``Requires-Dist`` line, without its version."""

    name: str
    extras: tuple[str, ...]
    marker: str

    @classmethod
    def parse(cls, text: str) -> Requirement:
        """Raises Misconfigured."""
        match = _REQUIREMENT.fullmatch(text)
        if match is None:
            raise Misconfigured(f"a requirement in the installed metadata cannot be read: {text!r}")
        name, extras, _, marker = match.groups()
        wanted = tuple(normalised(extra.strip()) for extra in (extras or "").split(",") if extra.strip())
        return cls(name=normalised(name), extras=wanted, marker=(marker or "").strip())

    def applies(self, environment: Mapping[str, str], extras: Iterable[str]) -> bool:
        """Whether the marker holds with any one of ``extras`` (or with none).  Raises Misconfigured."""
        if not self.marker:
            return True
        return any(holds(self.marker, {**environment, "extra": extra}) for extra in ("", *extras))


def closure(root: str, extra: str, *, path: Iterable[Path]) -> tuple[Distribution, ...]:
    """``root`` with ``extra`` and everything that it needs, sorted by name; ``root`` itself is included.

    ``path`` holds the folders to look in, first match first, as ``sys.path`` does.  Raises Misconfigured where a needed
    distribution is not installed: what is not there cannot be measured.
    """
    folders = [str(folder) for folder in path]
    _must_offer(_find(root, folders), extra)
    environment = marker_environment()
    found: dict[str, Distribution] = {}
    wanted: dict[str, set[str]] = {}
    queue = [Requirement(name=normalised(root), extras=(normalised(extra),) if extra else (), marker="")]
    while queue:
        requirement = queue.pop()
        new = set(requirement.extras) - wanted.get(requirement.name, set())
        if requirement.name in wanted and not new:
            continue
        wanted.setdefault(requirement.name, set()).update(new)
        distribution = found.get(requirement.name) or _find(requirement.name, folders)
        if distribution is None:
            raise Misconfigured(
                f"{requirement.name} is needed by {root}[{extra}] and is not installed",
                fix=f"pip install '{root}[{extra}]'",
            )
        found[requirement.name] = distribution
        extras = wanted[requirement.name]
        needed = (Requirement.parse(line) for line in distribution.requires or ())
        queue += [candidate for candidate in needed if candidate.applies(environment, extras)]
    return tuple(found[name] for name in sorted(found))


def normalised(name: str) -> str:
    """The one spelling of a distribution's or an extra's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _must_offer(distribution: Distribution | None, extra: str) -> None:
    offered = distribution.metadata.get_all("Provides-Extra") or () if distribution else ()
    if distribution and extra and normalised(extra) not in map(normalised, offered):
        name = f"{distribution.name} {distribution.version}"
        raise Misconfigured(f"{name} has no extra {extra!r}; it has {', '.join(sorted(offered))}")


def _find(name: str, folders: list[str]) -> Distribution | None:
    candidates = distributions(name=name, path=folders)
    return next((found for found in candidates if normalised(found.metadata["Name"] or "") == normalised(name)), None)
