"""``hermetic serve``: an OpenAI-compatible server for a sealed model, inside a TEE."""

from __future__ import annotations

import click

__all__ = ["serve"]


@click.command()
@click.option("--config", required=True, metavar="FILE", help="server.toml; read as it was measured at launch.")
def serve(config: str) -> None:
    """Serve a sealed model over an attested channel.

    It runs only where a platform launched and attests it: the configuration is handed over by content, as measured, and
    --config only names it.  Where there is no TEE, launch it on the simulator.

    \b
    Example:
      hermetic simulator run -- hermetic serve --config server.toml
    """
    from hermetic.guest.workload import enter
    from hermetic.serve.run import run

    run(enter())
