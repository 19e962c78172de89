"""``hermetic proxy``: a local OpenAI endpoint that verifies and encrypts, for any tool."""

from __future__ import annotations

import os
from pathlib import Path

import click

from hermetic.cli._files import read_secret
from hermetic.cli._show import console, simulated_banner, summary
from hermetic.cli._target import resolve, verification_options, verifier

__all__ = ["proxy"]


@click.command()
@click.argument("url", required=False)
@verification_options
@click.option("--port", type=click.IntRange(0, 65535), default=8488, show_default=True, help="0 takes a free one.")
@click.option("--api-key-file", type=click.Path(path_type=Path, dir_okay=False), help="A file that holds the API key.")
def proxy(url: str | None, policy: Path | None, allow_simulated: bool, port: int, api_key_file: Path | None) -> None:
    """A local OpenAI endpoint that verifies and encrypts.

    Point any tool at the printed address.  The tool's own API key is passed on, sealed, unless one is given here or in
    HERMETIC_API_KEY.

    \b
    Examples:
      hermetic proxy https://host --policy policy.toml
      OPENAI_BASE_URL=http://127.0.0.1:8488/v1 some-tool
    """
    import uvicorn
    from rich.markup import escape

    from hermetic.cli._stack import free_port
    from hermetic.client.attest import fetch_accepted
    from hermetic.client.proxy import Proxy
    from hermetic.client.sealed import AsyncSealedClient

    target = resolve(url, policy, allow_simulated)
    judge = verifier(target)
    accepted = fetch_accepted(target.url, judge)  # refuse now, not at the first request
    key = read_secret(api_key_file) if api_key_file else os.environ.get("HERMETIC_API_KEY")
    app = Proxy(AsyncSealedClient(target.url, judge), api_key=key or target.api_key())
    port = free_port(port or None)
    out = console()
    simulated_banner(out, accepted.claims)
    out.print(f"[green]✓[/] verified [bold]{escape(accepted.claims.launch.service)}[/] · {summary(accepted.checks)}")
    out.print(f"OpenAI endpoint: [bold]http://127.0.0.1:{port}/v1[/]  (Ctrl-C stops it)")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical", access_log=False, server_header=False)
