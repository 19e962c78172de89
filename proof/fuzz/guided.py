"""The same targets under atheris, which keeps inputs that reach new branches: ``--engine atheris``.

Optional: ``pip install atheris``.  Hermetic is imported here for the first time in the process, since only what is
imported under its eyes is followed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from proof import ROOT, STATE

_CORPUS = STATE / "corpus"


def follow(names: list[str], seconds: float, console: Console) -> int:
    """One process a target, one after another, with what earlier runs found as the beginning."""
    wrong = []
    for name in names:
        console.rule(name)
        corpus, crashes = _CORPUS / name, STATE / "crashes" / name
        for folder in (corpus, crashes):
            folder.mkdir(parents=True, exist_ok=True)
        limits = (f"-max_total_time={max(1, round(seconds))}", "-timeout=5", "-rss_limit_mb=2048", "-max_len=65536")
        command = [
            sys.executable,
            "-m",
            "proof.fuzz.guided",
            name,
            str(corpus),
            *limits,
            f"-artifact_prefix={crashes}/",
        ]
        if subprocess.run(command, check=False, cwd=ROOT).returncode:
            wrong.append(name)
    console.print(f"not as it should be: {', '.join(wrong)}" if wrong else "only typed refusals")
    return 1 if wrong else 0


def _main() -> None:
    import atheris

    name = sys.argv.pop(1)
    corpus = Path(sys.argv[1])
    with atheris.instrument_imports(include=["hermetic"]):
        from hermetic.errors import HermeticError
        from proof.fuzz.targets import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        try:
            target.parse(data)
        except HermeticError:
            return

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    _main()
