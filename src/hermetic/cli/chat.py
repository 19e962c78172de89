"""``hermetic chat``: talk to a verified server, encrypted end to end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hermetic.cli._files import make_folder, read_secret, save_file
from hermetic.cli._show import console, simulated_banner, summary
from hermetic.cli._target import Target, resolve, verification_options, verifier
from hermetic.errors import HermeticError, Misconfigured

if TYPE_CHECKING:
    from hermetic.client.chat import ChatStream, Message
    from hermetic.client.sealed import SealedClient

__all__ = ["chat"]


@click.command()
@click.argument("words", nargs=-1, metavar="[URL] [PROMPT]")
@verification_options
@click.option("--model", help="The model's name.  Default: the first that the server lists.")
@click.option("--system", help="A system message.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.2, show_default=True)
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True)
@click.option("--seed", type=int, help="For repeatable sampling.")
@click.option("--api-key-file", type=click.Path(path_type=Path, dir_okay=False), help="A file that holds the API key.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep request, response and receipt in this folder, to check them offline.",
)
def chat(
    words: tuple[str, ...],
    policy: Path | None,
    allow_simulated: bool,
    model: str | None,
    system: str | None,
    temperature: float,
    max_tokens: int,
    seed: int | None,
    api_key_file: Path | None,
    save: Path | None,
) -> None:
    """Chat with a verified server, encrypted end to end.

    Without PROMPT it is a session; without URL it is with the server of the last hermetic up.  Nothing is sent before
    the server was verified and your policy accepted it.  The API key comes from --api-key-file or HERMETIC_API_KEY.

    \b
    Examples:
      hermetic chat "What is a trusted execution environment?"
      hermetic chat https://host --policy policy.toml "Hello"
      hermetic chat --save exchange "Hello"; hermetic receipt verify exchange/receipt.json …
    """
    from hermetic.client.sealed import SealedClient

    url, prompt = _split(words)
    if save is not None and prompt is None:
        raise Misconfigured("--save keeps one exchange: it needs a prompt")
    if save is not None:
        make_folder(save)  # now, not when the answer is there and cannot be kept
    target = resolve(url, policy, allow_simulated)
    api_key = _api_key(target, api_key_file)
    history: list[Message] = [{"role": "system", "content": system}] if system else []
    with SealedClient(target.url, verifier(target)) as client:
        name = _choose_model(client, model, api_key)
        _greet(client, name)

        def ask(question: str) -> ChatStream:
            from hermetic.client.chat import ChatStream

            history.append({"role": "user", "content": question})
            stream = ChatStream(
                client=client,
                model=name,
                messages=history,
                api_key=api_key,
                temperature=temperature,
                max_tokens=max_tokens,
                seed=seed,
            )
            try:
                answer = _print_stream(stream)
            except BaseException:
                history.pop()  # a question without its answer is no part of the conversation
                raise
            history.append({"role": "assistant", "content": answer})
            return stream

        if prompt is not None:
            stream = ask(prompt)
            if save is not None:
                _save(client, stream, api_key, save, target)
        else:
            _session(ask)


def _split(words: tuple[str, ...]) -> tuple[str | None, str | None]:
    """URL and prompt: the first word is a URL if it looks like one."""
    url = words[0] if words and words[0].startswith(("http://", "https://")) else None
    rest = words[1:] if url else words
    return url, " ".join(rest) if rest else None


def _api_key(target: Target, path: Path | None) -> str | None:
    if path is not None:
        return read_secret(path)
    return os.environ.get("HERMETIC_API_KEY") or target.api_key()


def _choose_model(client: SealedClient, wanted: str | None, api_key: str | None) -> str:
    """``wanted`` if it is served, else the first that is.  Asking for the list has the server verified."""
    from hermetic.client.chat import list_models

    names = list_models(client, api_key=api_key)
    if not names:
        raise Misconfigured("the server lists no model")
    if wanted is not None and wanted not in names:
        raise Misconfigured(f"the server has no model {wanted}", fix=f"it serves {', '.join(names)}")
    return wanted or names[0]


def _greet(client: SealedClient, model: str) -> None:
    from rich.markup import escape

    out = console(stderr=True)
    accepted = client.attested.accepted
    simulated_banner(out, accepted.claims)
    said = f"{summary(accepted.checks)} · {escape(model)}"
    out.print(f"[green]✓[/] verified [bold]{escape(accepted.claims.launch.service)}[/] · {said}", soft_wrap=True)


def _print_stream(stream: ChatStream) -> str:
    pieces = []
    for piece in stream:
        pieces.append(piece)
        # What a model writes is data: control characters do not reach the terminal.
        sys.stdout.write("".join(letter for letter in piece if letter.isprintable() or letter in "\n\t"))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return "".join(pieces)


def _session(ask: Callable[[str], ChatStream]) -> None:
    import contextlib

    from rich.markup import escape

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() editing and history
    out = console(stderr=True)
    out.print("[dim]an empty line or Ctrl-D ends the session, Ctrl-C an answer[/]")
    while True:
        try:
            question = input("› ").strip()
        except EOFError:
            return
        if not question:
            return
        try:
            ask(question)
        except KeyboardInterrupt:
            out.print("\n[dim]stopped; the session goes on[/]")
        except HermeticError as error:
            out.print(f"[red]{escape(error.code)}[/]: {escape(str(error))}", soft_wrap=True)


def _save(client: SealedClient, stream: ChatStream, api_key: str | None, folder: Path, target: Target) -> None:
    """Writes what an auditor needs: both bodies, the receipt with its log proof and attestation report."""
    from hermetic.client.chat import fetch_receipt
    from hermetic.wire import canonical

    receipt = fetch_receipt(client, stream.receipt_id, api_key=api_key)
    save_file(folder / "request.json", stream.request)
    save_file(folder / "response.sse", stream.response)
    save_file(folder / "receipt.json", canonical(receipt.to_json()))
    command = f"hermetic receipt verify {folder}/receipt.json --policy {target.policy}"
    command += f" --request {folder}/request.json --response {folder}/response.sse"
    command += " --allow-simulated" if client.attested.accepted.simulated else ""
    # Offline, the receipt's place is proven; that the log it names is the one others see needs a look at the log once.
    command += f" --log {target.log_url}" if target.log_url else ""
    console(stderr=True).print(f"saved; check it with:\n  {command}", soft_wrap=True, markup=False)
