"""The ``hermetic`` command.  A subcommand is imported only when it is run, so that help is instant."""

from __future__ import annotations

import importlib
import sys

import click

from hermetic.cli._visible import visible
from hermetic.errors import HermeticError, Misconfigured, Refused, Unavailable

__all__ = ["EXIT_INCOMPLETE", "EXIT_REFUSED", "EXIT_UNAVAILABLE", "EXIT_USAGE", "cli", "main"]

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_INCOMPLETE = 3
EXIT_UNAVAILABLE = 4

_SECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "See it work": {
        "demo": ("hermetic.cli.demo", "demo", "The whole chain in one minute, on a simulated TEE."),
        "up": ("hermetic.cli.up", "up", "Broker, sealed model and server, ready to talk to."),
    },
    "Talk to a verified workload": {
        "verify": ("hermetic.cli.verify", "verify", "Check a server, or a saved report, against a policy."),
        "chat": ("hermetic.cli.chat", "chat", "Chat with a verified server, encrypted end to end."),
        "proxy": ("hermetic.cli.proxy", "proxy", "A local OpenAI endpoint that verifies and encrypts."),
        "receipt": ("hermetic.cli.receipt", "receipt", "Check what a workload signed about its work."),
        "log": ("hermetic.cli.log", "log", "Check a transparency log from first entry to last."),
        "policy": ("hermetic.cli.policy", "policy", "Write and check policies."),
        "evidence": (
            "hermetic.cli.evidence",
            "evidence",
            "Look at evidence in files, verify it, and keep it for an auditor.",
        ),
    },
    "Seal models and data": {
        "keygen": ("hermetic.cli.seal", "keygen", "Make a key to seal for, or to sign as an owner."),
        "seal": ("hermetic.cli.seal", "seal", "Encrypt a file or a folder to recipients."),
        "open": ("hermetic.cli.seal", "open_", "Decrypt what was sealed for your key."),
        "broker": ("hermetic.cli.broker", "broker", "Release keys to attested workloads only."),
    },
    "Run a workload": {
        "platform": ("hermetic.cli.platform", "platform", "Which TEE this machine has, and how it attests."),
        "measure": ("hermetic.cli.measure", "measure", "The launch document, before anything runs."),
        "serve": ("hermetic.cli.serve", "serve", "Serve a sealed model over an attested channel."),
        "simulator": ("hermetic.cli.simulator", "simulator", "Launch a workload on a simulated TEE."),
    },
    "This tool": {
        "completion": ("hermetic.cli.completion", "completion", "Print a completion script for your shell."),
    },
}
_COMMANDS = {name: target for section in _SECTIONS.values() for name, target in section.items()}


class _Lazy(click.Group):
    """A group that knows its commands by name and help, and imports one when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not ctx.resilient_parsing:
            import difflib

            if near := difflib.get_close_matches(args[0], _COMMANDS, n=1):
                ctx.fail(f"No such command '{args[0]}'.  Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, _, text) in commands.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from hermetic import __version__

        click.echo(f"hermetic {__version__}")
        ctx.exit()


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def cli() -> None:
    """Confidential AI that can be verified.

    A workload runs in a trusted execution environment and proves what it is; only then does it get a prompt, a data
    set or a key, always encrypted to a key that the proof names.

    \b
    Start here:
      hermetic demo                  the whole chain, on this laptop
      hermetic up                    a server to talk to; then: hermetic chat
      hermetic verify URL --policy policy.toml

    Exit codes: 0 done and proven, 1 refused, 2 wrong usage, 3 incomplete (something was not performed), 4 unavailable.
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point.  Refusals are printed as one sentence with what to do about it, never as a traceback."""
    try:
        result = cli.main(args=argv, prog_name="hermetic", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except HermeticError as error:
        _print_error(error)
        sys.exit(_exit_code(error))
    except ModuleNotFoundError as error:
        extra = _missing_extra(error.name or "")
        if extra is None:
            raise
        click.echo(f"hermetic: this command needs an extra: pip install 'hermetic[{extra}]'", err=True)
        sys.exit(EXIT_USAGE)
    sys.exit(result if isinstance(result, int) else 0)


def _print_error(error: HermeticError) -> None:
    label = {Refused: "refused", Misconfigured: "cannot do that", Unavailable: "unavailable"}
    kind = next((text for cls, text in label.items() if isinstance(error, cls)), "error")
    click.secho(f"{kind} [{error.code}]: ", fg="red", bold=True, err=True, nl=False)
    click.echo(visible(error.message), err=True)
    if error.fix:
        click.secho("  → ", fg="cyan", err=True, nl=False)
        click.echo(visible(error.fix), err=True)


def _exit_code(error: HermeticError) -> int:
    if isinstance(error, Misconfigured):
        return EXIT_USAGE
    return EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_REFUSED


_EXTRA_OF = {
    "openai": "openai",
    "httpx": "httpx",
    "starlette": "serve",
    "uvicorn": "serve",
    "uvloop": "serve",
    "httptools": "serve",
    "xllamacpp": "serve",
}


def _missing_extra(module: str) -> str | None:
    return _EXTRA_OF.get(module.partition(".")[0])
