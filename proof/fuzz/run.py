"""Feeds noise to the targets, each in a process of its own with limits, and keeps what went wrong."""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import time
import traceback
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rich.console import Console

from hermetic.errors import HermeticError
from proof import ROOT, STATE
from proof.bounded import TooSlow, bounded
from proof.fuzz.noise import inputs
from proof.fuzz.targets import TARGETS, Target

CRASHES = STATE / "crashes"
SECONDS = 2.0
"""How long one input may take.  No parser needs a hundredth of it for input of the size that it accepts."""
MEMORY = 1 << 30
"""How much address space the process may take beyond what it has when it starts."""
_KEPT = 5


@dataclass(slots=True, kw_only=True)
class Found:
    """What became of one target's inputs.  ``kept`` are files in :data:`CRASHES` with what each did."""

    target: str
    fed: int = 0
    accepted: int = 0
    slowest: float = 0.0
    kept: list[tuple[Path, str]] = field(default_factory=list)


def run(options: argparse.Namespace) -> int:
    """The exit code: 1 if anything went wrong."""
    console = Console()
    if options.list:
        for name in TARGETS:
            console.print(name)
        return 0
    if options.replay is not None:
        return _replay(options.replay, console)
    names = options.target or list(TARGETS)
    jobs = options.jobs or multiprocessing.cpu_count()
    each = options.seconds * jobs / len(names)
    if options.engine == "atheris":
        from proof.fuzz.guided import follow

        return follow(names, each, console)
    console.print(f"{len(names)} targets, {each:.1f} s each, seed {options.seed}")
    return report(feed_all(names, each, options.seed, jobs), console)


def feed_all(names: list[str], seconds: float, seed: int, jobs: int, *, most: int | None = None) -> Iterator[Found]:
    """Each target in a new process, ``jobs`` at a time: for ``seconds``, or with ``most`` inputs."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=None) as pool:
        for done in as_completed([pool.submit(_confined, name, seconds, seed, most) for name in names]):
            yield done.result()


def report(results: Iterator[Found], console: Console) -> int:
    """Prints a line for each target; 1 if anything went wrong."""
    wrong = 0
    for found in results:
        counts = f"{found.fed:9,} inputs, {found.accepted:8,} accepted"
        line = f"{found.target:20} {counts}, slowest {found.slowest * 1e3:.0f} ms"
        console.print(line, highlight=False)
        for path, problem in found.kept:
            wrong += 1
            console.print(f"[red]  {problem}[/red]", highlight=False, soft_wrap=True)
            console.print(f"  python -m proof fuzz --replay {path.relative_to(ROOT)}", highlight=False, soft_wrap=True)
    console.print(f"{wrong} inputs did something else than be read or refused")
    return 1 if wrong else 0


def feed(target: Target, seconds: float, seed: int, most: int | None = None) -> Found:
    """Feeds one target in this process."""
    found, end = Found(target=target.name), time.monotonic() + seconds
    for data in islice(inputs(tuple(target.seeds()), seed), most):
        if (most is None and time.monotonic() > end) or len(found.kept) >= _KEPT:
            break
        found.fed += 1
        start = time.perf_counter()
        problem = _try(target, data, found)
        found.slowest = max(found.slowest, time.perf_counter() - start)
        if problem is not None:
            found.kept.append((_keep(target, data), problem))
    return found


def _try(target: Target, data: bytes, found: Found) -> str | None:
    """What went wrong, or None."""
    try:
        with warnings.catch_warnings(), bounded(SECONDS):
            warnings.simplefilter("ignore")
            target.parse(data)
    except HermeticError:
        return None
    except TooSlow:
        return f"no answer within {SECONDS} s"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {str(error)[:120]}"
    found.accepted += 1
    return None


def _confined(name: str, seconds: float, seed: int, most: int | None) -> Found:
    """In a worker: what a parser may take in memory is limited before it is fed."""
    target = TARGETS[name]
    target.seeds()  # what seeds need is not the parser's
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return feed(target, seconds, seed, most)


def _keep(target: Target, data: bytes) -> Path:
    path = CRASHES / target.name / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _replay(path: Path, console: Console) -> int:
    target, data = TARGETS[path.resolve().parent.name], path.read_bytes()
    problem = _try(target, data, Found(target=target.name))
    if problem is None:
        console.print(f"{target.name}: {len(data)} bytes, read or refused as they should be")
        return 0
    target.parse(data)  # once more, for the whole traceback
    return 1
