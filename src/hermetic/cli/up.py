"""``hermetic up``: broker, sealed model and server, ready to talk to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from hermetic.cli._files import make_folder
from hermetic.cli._machine import machine_options
from hermetic.cli._show import console, own_name
from hermetic.errors import Misconfigured, Unavailable

if TYPE_CHECKING:
    from rich.console import Console

    from hermetic.cli._stack import Process, Stack

__all__ = ["up"]


@click.command()
@click.option(
    "--model", type=click.Path(path_type=Path, dir_okay=False), help="A GGUF file.  Default: the demo's model."
)
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@click.option("--port", type=click.IntRange(1, 65535), default=8480, show_default=True, help="Of the server.")
@click.option("--broker-port", type=click.IntRange(1, 65535), default=8481, show_default=True, help="Of the broker.")
@machine_options
@click.option("--json", "as_json", is_flag=True, help="One line when ready: url, broker_url, policy, api_key, model.")
def up(
    model: Path | None,
    folder: Path | None,
    port: int,
    broker_port: int,
    tee: str,
    gpus: int,
    switches: int,
    as_json: bool,
) -> None:
    """Broker, sealed model and server, ready to talk to.

    They stay up until Ctrl-C.  The platform is SIMULATED: it proves the chain and protects nothing from this machine.
    Run it again in the same folder and keys, sealed model and log are kept.

    \b
    Examples:
      hermetic up
      hermetic up --model my-model.gguf --port 9000
      hermetic up --tee tdx --gpus 2
      hermetic up --json | head -1
    """
    from hermetic.cli._model import NAME, check_gguf, check_model, find_model
    from hermetic.cli._stack import Stack, free_port, interruptible

    if model is None:
        model, name = find_model(), NAME
        check_model(model)
    else:
        check_gguf(model)
        name = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in ".-_") else "-" for letter in model.stem
        )
    folder = (folder or _default_folder()).absolute()
    make_folder(folder)
    out = console(stderr=as_json)
    with _open_log(folder) as log, interruptible():
        _claim(log, folder)  # before the ports: who runs it twice should hear of the first one, not of its port
        stack = Stack(
            folder=folder,
            port=free_port(port),
            broker_port=free_port(broker_port, option="--broker-port"),
            model_name=name.lower()[:128],
            tee=tee,
            gpus=gpus,
            switches=switches,
        )
        running: list[Process] = []
        began = log.seek(0, os.SEEK_END)
        try:
            _start(stack, model, log, running, out)
            _announce(stack, as_json)
            _wait(running)
        except Unavailable as error:
            raise _explained(error, Path(log.name), began) from error
        finally:
            for process in reversed(running):
                process.stop()


def _open_log(folder: Path) -> IO[bytes]:
    """Raises Misconfigured where nothing can be written."""
    try:
        return (folder / "log.jsonl").open("ab")
    except OSError as error:
        raise Misconfigured(
            f"cannot write in {folder}: {error.strerror}", fix="choose another folder: --dir"
        ) from error


def _claim(log: IO[bytes], folder: Path) -> None:
    """One at a time in a folder: a second one would write another configuration and policy under the first."""
    import fcntl

    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Misconfigured(
            f"hermetic up is running in {folder}", code="folder_taken", fix="stop it, or choose another folder: --dir"
        ) from None


def _start(stack: Stack, model: Path, log: IO[bytes], running: list[Process], say: Console) -> None:
    """Each step of the chain in order, with a line for each."""
    from hermetic.cli._progress import bytes_bar

    say.print(
        "[black on yellow] SIMULATED [/] no TEE is used: this shows the chain, it protects nothing from this machine",
        soft_wrap=True,
    )
    broker = stack.make_broker()
    with bytes_bar("sealing the model", model.stat().st_size) as progress:
        bundle = stack.seal_model(model, broker, progress)
    say.print(
        f"[green]✓[/] model sealed for the broker          [dim]{_short(bundle.manifest_digest)}[/]", soft_wrap=True
    )
    stack.configure(bundle, broker)
    plan = stack.plan()
    stack.write_policy(plan, broker)
    say.print(
        f"[green]✓[/] launch measured, policy pinned       [dim]{_short(plan.document.digest)}[/]", soft_wrap=True
    )
    running.append(stack.start_broker(log))
    say.print(f"[green]✓[/] broker answers                       [dim]{stack.broker_url}[/]", soft_wrap=True)
    running.append(stack.start_server(plan, log))
    say.print(f"[green]✓[/] server attested, model in memory only [dim]{stack.url}[/]", soft_wrap=True)


def _short(digest: str) -> str:
    """To recognise it by; the whole digest is in the files."""
    return f"{digest[:23]}…"


def _announce(stack: Stack, as_json: bool) -> None:
    from hermetic.cli._target import Target, remember_up

    remember_up(
        Target(
            url=stack.url,
            policy=stack.policy,
            allow_simulated=True,
            api_key_file=stack.api_key_file,
            log_url=stack.broker_url,
        )
    )
    if as_json:
        ready = {
            "url": stack.url,
            "broker_url": stack.broker_url,
            "policy": str(stack.policy),
            "api_key": stack.api_key(),
            "model": stack.model_name,
        }
        click.echo(json.dumps(ready))
        return
    out, name = console(), own_name()
    out.print(f"""
server  [bold]{stack.url}[/]
broker  [bold]{stack.broker_url}[/]
policy  {stack.policy}
API key {stack.api_key_file}

In another terminal:
  [bold]{name} verify[/]
  [bold]{name} chat "What is the capital of France?"[/]
  [bold]{name} proxy[/]                 an OpenAI endpoint for any tool

From Python:
  import hermetic
  client = hermetic.OpenAI(
      "{stack.url}",
      policy="{stack.policy}",
      allow_simulated=True,
      api_key=open("{stack.api_key_file}").read().strip(),
  )

Ctrl-C stops it.""", soft_wrap=True)  # fmt: skip


def _wait(running: list[Process]) -> None:
    """Until a signal, or until one of the processes ends by itself."""
    from hermetic.cli._stack import ending_signals

    stopped = threading.Event()
    for number in (signal.SIGINT, *ending_signals()):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(0.5):
        for process in running:
            if (code := process.poll()) is not None:
                raise Unavailable(f"{process.name} ended with exit code {code}", code="process_ended")


def _explained(error: Unavailable, log: Path, began: int) -> Unavailable:
    """With the reason that the process itself gave last, from ``began`` on in its log."""
    reason = ""
    with log.open("rb") as file:
        file.seek(began)
        for line in file:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                entry = json.loads(line)
                reason = f": {entry['text']}" if entry["event"] == "refused" else reason
    return Unavailable(f"{error.message}{reason}", code=error.code, fix=f"everything it said: {log}")


def _default_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "hermetic" / "up"
