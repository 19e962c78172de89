"""What will be started: a server configuration and a program, as one launch document.

Nothing is started here, so an owner can read and pin beforehand what a launch will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from hermetic.errors import Malformed, Misconfigured
from hermetic.guest.installation import Installation
from hermetic.guest.program import measure_program
from hermetic.guest.tree import Tree
from hermetic.identity import LaunchDocument, MeasuredModel
from hermetic.wire import Digest, parse_toml, sha256_digest

__all__ = ["EXTRA", "LaunchPlan", "describe_config", "measure", "plan_launch", "split_command"]

EXTRA = "serve"
"""The extra of hermetic whose closure is the program of a server."""

_COMMAND = ("hermetic", "serve")
_CONFIG_NAME = "server.toml"
_CONFIG_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A launch document together with what it was computed from: the very bytes, for the launch to use."""

    document: LaunchDocument
    tree: Tree = field(repr=False)
    config: bytes = field(repr=False)
    folder: Path
    """Where relative paths in the configuration start.  Not measured: what lies there is, by its own digest."""


def measure(config: Path | str, *, installation: Installation | None = None) -> LaunchDocument:
    """The launch document of ``hermetic serve --config CONFIG``, were it started now from this installation.

    Raises Misconfigured where the configuration or the installation is incomplete.
    """
    return plan_launch(Path(config), installation=installation).document


def plan_launch(
    config: Path, *, arguments: Sequence[str] = (), installation: Installation | None = None, tree: Tree | None = None
) -> LaunchPlan:
    """Reads the configuration once and measures the program (or takes ``tree``).

    ``arguments`` are further words of the command line, measured as they are.  The configuration stands in ``argv``
    under one fixed name: where it lies is not measured, and what it says is, to the byte.
    """
    data = _read(config)
    program = tree or measure_program(EXTRA, installation)
    return LaunchPlan(
        document=describe_config(
            data,
            program_digest=program.digest,
            argv=(*_COMMAND, "--config", _CONFIG_NAME, *arguments),
            name=str(config),
        ),
        tree=program,
        config=data,
        folder=config.absolute().parent,
    )


def describe_config(data: bytes, *, program_digest: Digest, argv: tuple[str, ...], name: str) -> LaunchDocument:
    """The launch document of these configuration bytes.

    The environment is empty and no peer but the broker is trusted: neither can be configured.  Raises Misconfigured if
    the configuration does not say what is measured; what else it says is for the server to judge.
    """
    try:
        said = msgspec.convert(parse_toml(data, what=name), _Measured, strict=True)
    except Malformed as error:
        raise Misconfigured(error.message, code="config_malformed") from None
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{name}: {error}", code="config_malformed") from None
    document = LaunchDocument(
        service=said.service,
        program_digest=program_digest,
        argv=argv,
        environment={},
        config_digest=sha256_digest(data),
        models=(MeasuredModel(name=said.model.name, manifest_digest=Digest(said.model.manifest_digest)),),
        broker_key=said.broker.key,
        outbound={},
    )
    return LaunchDocument.from_json(document.to_json())  # its parser judges every field


def split_command(command: Sequence[str]) -> tuple[Path, tuple[str, ...]]:
    """The configuration's path and the remaining words of ``hermetic serve --config PATH …``.

    Raises Misconfigured on any other command: only a workload whose launch can be described can be launched.
    """
    usage = "launch with: hermetic simulator run -- hermetic serve --config server.toml"
    words = list(command)
    if len(words) < 2 or Path(words[0]).name != _COMMAND[0] or words[1] != _COMMAND[1]:
        raise Misconfigured(f"cannot launch {' '.join(words) or 'nothing'}: it is no measured workload", fix=usage)
    found: list[str] = []
    rest: list[str] = []
    remaining = iter(words[2:])
    for word in remaining:
        if word == "--config":
            found.append(next(remaining, ""))
        elif word.startswith("--config="):
            found.append(word.removeprefix("--config="))
        else:
            rest.append(word)
    if len(found) != 1 or not found[0]:
        raise Misconfigured("the workload needs exactly one --config", fix=usage)
    return Path(found[0]), tuple(rest)


class _Model(msgspec.Struct):
    name: str
    manifest_digest: str


class _Broker(msgspec.Struct):
    key: str


class _Measured(msgspec.Struct):
    """The fields of ``server.toml`` that stand in the launch document by name."""

    service: str
    model: _Model
    broker: _Broker


def _read(config: Path) -> bytes:
    try:
        with config.open("rb") as stream:
            data = stream.read(_CONFIG_LIMIT + 1)
    except OSError as error:
        raise Misconfigured(f"cannot read {config}: {error.strerror}", code="config_unreadable") from None
    if len(data) > _CONFIG_LIMIT:
        raise Misconfigured(f"{config} is larger than {_CONFIG_LIMIT} bytes", code="config_malformed")
    return data
