"""python -m proof: mutants, deleted checks, noise, and the page that says what is covered."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import proof


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    code: int = options.run(options)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m proof", description=proof.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    mutants = commands.add_parser("mutants", help="change genuine evidence; nothing changed may be accepted")
    mutants.add_argument("--tee", nargs="*", default=[], help="only these: sev-snp, tdx, sgx, nvidia, …")
    mutants.add_argument("--kind", nargs="*", default=[], help="only these: bit, truncation, item, xml, …")
    mutants.add_argument("--every", type=int, default=1, metavar="N", help="a fixed sample, one mutant of N")
    mutants.add_argument("--jobs", type=int, default=0, help="processes (default: one for each core)")
    mutants.add_argument("--output", type=Path, help="where the summary goes (default, for whole runs only: results/)")
    mutants.set_defaults(run=_mutants)

    checks = commands.add_parser("checks", help="delete each check of the source in turn; a test has to fail")
    checks.add_argument("--package", nargs="*", default=[], help="only these: hermetic.policy, hermetic.verify.snp, …")
    checks.add_argument("--every", type=int, default=1, metavar="N", help="a fixed sample, one deletion of N")
    checks.add_argument("--jobs", type=int, default=0, help="processes (default: one for each core)")
    checks.add_argument("--list", action="store_true", help="say what would be deleted, and delete nothing")
    checks.add_argument("--fresh", action="store_true", help="forget what earlier runs found")
    checks.set_defaults(run=_checks)

    fuzz = commands.add_parser("fuzz", help="feed noise to every parser; only typed refusals, in bounds")
    fuzz.add_argument("--seconds", type=float, default=60, help="in all, shared among the targets (default 60)")
    fuzz.add_argument("--target", nargs="*", default=[], help="only these; --list names them")
    fuzz.add_argument("--engine", choices=("own", "atheris"), default="own", help="own, or coverage-guided atheris")
    fuzz.add_argument("--seed", type=int, default=0, help="the same seed makes the same inputs")
    fuzz.add_argument("--jobs", type=int, default=0, help="processes (default: one for each core)")
    fuzz.add_argument("--list", action="store_true", help="name the targets")
    fuzz.add_argument("--replay", type=Path, metavar="FILE", help="feed one kept input to its target again")
    fuzz.set_defaults(run=_fuzz)

    page = commands.add_parser("coverage", help="write docs/coverage.md")
    page.set_defaults(run=_coverage)
    return parser


def _mutants(options: argparse.Namespace) -> int:
    from proof.mutants.run import RESULTS, cores, run

    whole = not options.tee and not options.kind and options.every == 1
    output = options.output or (RESULTS if whole else None)
    return run(tees=options.tee, kinds=options.kind, every=options.every, jobs=options.jobs or cores(), output=output)


def _checks(options: argparse.Namespace) -> int:
    from proof.checks.run import run

    return run(options)


def _fuzz(options: argparse.Namespace) -> int:
    from proof.fuzz.run import run

    return run(options)


def _coverage(options: argparse.Namespace) -> int:
    from proof.coverage.page import write

    return write()


if __name__ == "__main__":
    sys.exit(main())
