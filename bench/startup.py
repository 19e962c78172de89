"""What it costs to start: ``import hermetic`` and ``hermetic --help`` beside Python's own start-up.

    python -m bench.startup [--rounds N]      prints one JSON object

Each round starts all three in turn; medians are given, and differences are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable

COMMANDS = {
    "python": ["-c", "pass"],
    "import": ["-c", "import hermetic"],
    "help": ["-m", "hermetic", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    _start(COMMANDS["help"])  # the first start compiles
    rounds = [{name: _start(command) for name, command in COMMANDS.items()} for _ in range(options.rounds)]
    result = {
        "python_ms": _median(each["python"] for each in rounds),
        "import_over_python_ms": _median(each["import"] - each["python"] for each in rounds),
        "help_ms": _median(each["help"] for each in rounds),
    }
    print(json.dumps(result))


def _start(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


if __name__ == "__main__":
    main()
