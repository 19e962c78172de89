"""What the documentation tells people to type exists, what it shows works, and its links lead somewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hermetic.cli import cli
from stack_support import PATIENCE, Home

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
QUICKSTART = ROOT / "docs" / "quickstart.md"
MADE_LATER = {"docs/performance.md": "make bench"}
"""What a Makefile target writes, for a checkout in which it has not yet been run."""

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_NESTED = re.compile(r'"?\$\(((?:\.venv/bin/)?hermetic [^()]*)\)"?')


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of ``language``, without the indentation of the list that they stand in."""
    found = _FENCE.findall(page.read_text("utf-8"))
    return [re.sub(rf"(?m)^{indent}", "", text) for indent, spoken, text in found if spoken == language]


def lines(block: str) -> list[str]:
    """The commands of a shell block, each on one line."""
    return [line for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def hermetic_commands(page: Path) -> Iterator[tuple[bool, str]]:
    """Every ``hermetic …`` of the page, and whether it stands there to be typed, rather than to be spoken of.

    The specifications speak of no command: what looks like one there is a label.
    """
    prose = "" if page.parent.name == "spec" else _FENCE.sub("", page.read_text("utf-8"))
    typed = [(True, line) for block in blocks(page, "sh") for line in lines(block)]
    for to_type, line in [*typed, *((False, span) for span in _SPAN.findall(prose))]:
        yield from ((to_type, nested) for nested in _NESTED.findall(line))
        flat = _NESTED.sub("WORD", line).removeprefix(".venv/bin/")
        if re.match(r"hermetic +[a-z-]", flat):
            yield to_type, flat


def words(command: str) -> list[str]:
    """As the shell would split it, without comment and redirection."""
    found = shlex.split(command, comments=True)[1:]
    return found[: found.index(">")] if ">" in found else found


def understood(command: click.Command, name: str, arguments: list[str]) -> None:
    """Raises what click raises for a word that ``command`` does not know, or that it misses.  Nothing is run."""
    if isinstance(command, click.Group):
        with command.make_context(name, list(arguments), resilient_parsing=not arguments) as context:
            if arguments:
                below, found, rest = command.resolve_command(context, arguments)
                assert below is not None
                assert found is not None
                understood(found, below, rest)
        return
    command.make_context(name, list(arguments))


COMMANDS = sorted({(page.relative_to(ROOT).as_posix(), *found) for page in PAGES for found in hermetic_commands(page)})


@pytest.mark.parametrize(("page", "to_type", "command"), COMMANDS)
def test_what_is_to_be_typed_exists(page: str, to_type: bool, command: str) -> None:
    incomplete = () if to_type else (click.MissingParameter, click.BadOptionUsage)
    with contextlib.suppress(click.exceptions.Exit, *incomplete):  # Exit is what --help does
        understood(cli, "hermetic", words(command))
    if inner := command.partition(" -- ")[2]:
        understood(cli, "hermetic", words(inner))


def test_the_commands_were_found() -> None:
    typed = {command.partition("  ")[0] for _, to_type, command in COMMANDS if to_type}
    assert {"hermetic up", "hermetic broker recipient broker/me/model"} <= typed
    assert any(command.startswith("hermetic simulator run -- hermetic serve") for command in typed)
    for wrong in ("policy explain policy.toml", "verify --polcy policy.toml", "receipt verify", "chat --save"):
        with pytest.raises(click.UsageError):
            understood(cli, "hermetic", words(f"hermetic {wrong}"))


def test_the_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for page in (*PAGES, ROOT / "src" / "hermetic" / "cli" / "demo" / "__init__.py"):
        for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)", page.read_text("utf-8")):
            assert re.search(rf"(?m)^{target}:", makefile), f"{page.name}: make {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    prose = _SPAN.sub("", _FENCE.sub("", page.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        leads = (page.parent / path).resolve() if path else page
        if not leads.exists() and (name := leads.relative_to(ROOT).as_posix()) in MADE_LATER:
            assert MADE_LATER[name].removeprefix("make ") in (ROOT / "Makefile").read_text("utf-8")
            continue
        assert leads.exists(), target
        if anchor:
            assert anchor in anchors(leads), target


def anchors(page: Path) -> set[str]:
    """The names that its headings have as targets of links."""
    headings = re.findall(r"(?m)^#+ +(.+)$", _FENCE.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


RUN_ON = ("hermetic broker serve", "hermetic simulator run", "hermetic chat", "hermetic log verify", "$EDITOR")
"""What waits for a person or for a server.  All else of the owner's side is run as it is written."""


def test_the_owner_s_side_step_by_step(stranger: Home, tmp_path: Path) -> None:
    """As written, with what a person would copy from one step into the next copied by the test."""
    owner = tmp_path / "owner"
    owner.mkdir()
    shell = Shell(owner, stranger, on_path=tmp_path / "bin")
    (owner / "model.gguf").write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))
    section = QUICKSTART.read_text("utf-8").split("\n## ")[2]
    assert section.startswith("Step by step")
    page = tmp_path / "section.md"
    page.write_text(section)
    broker_toml, server_toml = blocks(page, "toml")

    said: dict[str, str] = {}
    for line in (line for block in blocks(page, "sh") for line in lines(block)):
        if line.startswith("$EDITOR broker.toml"):
            text = filled(broker_toml, owner=said["hermetic keygen"].strip())
            (owner / "broker.toml").write_text(text)
        elif line.startswith("$EDITOR server.toml"):
            keys = dict(re.findall(r"(?m)^(broker|log) key,.*\n  (\S+)$", said["hermetic broker"]))
            (owner / "server.toml").write_text(
                filled(
                    server_toml,
                    manifest_digest=said["hermetic seal"].splitlines()[0],
                    key=keys["broker"],
                    log_key=keys["log"],
                    digests="sha256:" + said["printf %s"].split()[0],
                )
            )
            shell.variables["LOG_KEY"] = keys["log"]
        elif not line.startswith(RUN_ON):
            said[" ".join(line.split()[:2])] = shell.run(line)
        if line.startswith("hermetic broker init"):
            assert "broker/me/model (made)" in said["hermetic broker"]
    assert {"manifest.json", "version.json", "model.gguf.age"} <= {path.name for path in (owner / "model").iterdir()}
    assert "loads" in said["hermetic policy"]
    assert "nobody has asked yet" in said["hermetic broker"]


def filled(toml: str, **values: str) -> str:
    """The example with each field that ends with … replaced by its value.  Every value is used, and none is left."""
    for name, value in values.items():
        toml, count = re.subn(rf'(?m)^({name} = \[?)"[^"]*…"', rf'\g<1>"{value}"', toml)
        assert count == 1, name
    assert '…"' not in toml
    return toml


class Shell:
    """A person's shell in ``folder``, which finds ``hermetic`` and fails where a command does."""

    def __init__(self, folder: Path, home: Home, *, on_path: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}
        self._environment = home.environment | {"PATH": f"{on_path}:{os.environ['PATH']}"}
        on_path.mkdir()
        (on_path / "hermetic").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hermetic "$@"\n')
        (on_path / "hermetic").chmod(0o755)

    def run(self, line: str) -> str:
        """What it wrote to standard output."""
        for name, value in self.variables.items():
            line = re.sub(rf"\b{name}\b", value, line)
        bash = shutil.which("bash")
        assert bash is not None
        done = subprocess.run(
            [bash, "-euo", "pipefail", "-c", line],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        return done.stdout
