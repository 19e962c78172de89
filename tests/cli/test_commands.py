"""Every command is there, says what it is for in one way, shows examples, and costs nothing until it is run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hermetic.cli import cli
from stack_support import Home

HEAVY = {
    "anyio", "cryptography", "httpx", "httpx2", "msgspec", "numpy", "openai", "pydantic", "rfc8785", "rich", "sqlite3",
    "ssl", "starlette", "torch", "uvicorn", "xllamacpp",
}  # fmt: skip
CONTEXT = click.Context(cli, info_name="hermetic", terminal_width=200)
NAMES = cli.list_commands(CONTEXT)


def command(name: str) -> click.Command:
    found = cli.get_command(CONTEXT, name)
    assert found is not None
    return found


def everything() -> Iterator[tuple[str, ...]]:
    """Each command and subcommand, as the words that call it."""
    for name in NAMES:
        yield (name,)
        group = command(name)
        if isinstance(group, click.Group):
            yield from ((name, below) for below in group.list_commands(CONTEXT))


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_commands_says_what_the_command_says(name: str) -> None:
    listed = re.search(rf"(?m)^  {name} +(.*)$", cli.get_help(CONTEXT))
    assert listed is not None
    assert listed[1] == (command(name).help or "").splitlines()[0]


@pytest.mark.parametrize("words", tuple(everything()), ids=" ".join)
def test_help_shows_examples_that_can_be_copied(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*words, "--help"])
    assert shown.exit_code == 0
    examples = re.search(r"(?s)\n  Examples?:\n(.*?)(\n\n|\Z)", shown.output)
    assert examples is not None
    assert f"hermetic {words[0]}" in examples[1]
    if len(words) == 2:
        assert f"hermetic {' '.join(words)}" in examples[1]


def test_there_is_no_other_command(stranger: Home) -> None:
    assert cli.get_command(CONTEXT, "launch-missiles") is None
    mistyped = stranger.hermetic("verfy")
    assert mistyped.returncode == 2
    assert "Did you mean verify?" in mistyped.stderr
    refused = stranger.hermetic("launch-missiles")
    assert refused.returncode == 2
    assert "No such command" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    script = CliRunner().invoke(cli, ["completion", shell])
    assert script.exit_code == 0
    assert f"{shell}_complete" in script.output
    assert "hermetic" in script.output


def test_completion_completes(stranger: Home) -> None:
    found = stranger.hermetic(_HERMETIC_COMPLETE="bash_complete", COMP_WORDS="hermetic re", COMP_CWORD="1")
    assert found.stdout == "plain,receipt\n"


def loaded(code: str) -> set[str]:
    """The packages that are loaded once ``code`` ran in a fresh interpreter, on top of what it starts with."""
    code = f"import sys; before = set(sys.modules)\n{code}\nprint(*{{*sys.modules}} - before, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return {module.partition(".")[0] for module in done.stderr.split()}


def test_import_is_instant() -> None:
    packages = loaded("import hermetic")
    assert "hermetic" in packages
    assert not packages & (HEAVY | {"click", "asyncio", "json"})


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_is_instant(arguments: list[str]) -> None:
    packages = loaded(
        f"from hermetic.cli import main\ntry: main({json.dumps(arguments)})\nexcept SystemExit: pass",
    )
    assert "click" in packages
    assert not packages & HEAVY


def test_asking_for_a_class_loads_the_client() -> None:
    assert {"openai", "httpx2"} <= loaded("import hermetic; hermetic.OpenAI; hermetic.AsyncOpenAI")
    with pytest.raises(AttributeError, match="has no attribute 'Gemini'"):
        getattr(__import__("hermetic"), "Gemini")  # noqa: B009 - a name that a type checker would refuse too


def test_the_version(stranger: Home) -> None:
    assert re.fullmatch(r"hermetic \d+\.\d+\.\d+\n", stranger.hermetic("--version").stdout)
