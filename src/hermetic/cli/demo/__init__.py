"""``hermetic demo``: the whole chain in one minute, on a simulated TEE."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

__all__ = ["demo"]


@click.command()
@click.option("--fast", is_flag=True, help="No pauses between the steps, for CI.")
@click.option("--tamper", is_flag=True, help="Flip a byte of each thing in turn, and see which check refuses.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the files in this folder.  Default: a temporary one, removed at the end.",
)
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the last screen as a picture.")
def demo(fast: bool, tamper: bool, folder: Path | None, svg: Path | None) -> int:
    """The whole chain in one minute, on a simulated TEE.

    From a sealed model to a receipt that anyone can check.  Everything is real except the hardware: a real model, a
    real broker, a real server, real cryptography, and the verifier that judges real AMD evidence.  The platform is
    SIMULATED, and every screen says so.

    \b
    Examples:
      hermetic demo
      hermetic demo --tamper
      hermetic demo --fast --dir ./demo-files
    """
    from hermetic.cli._files import make_folder
    from hermetic.cli.demo.story import Story, tell
    from hermetic.cli.demo.tamper import tamper_with_everything

    with tempfile.TemporaryDirectory(prefix="hermetic-demo-") as temporary:
        where = (folder or Path(temporary)).absolute()
        make_folder(where)
        with Story.begin(where, fast=fast, svg=svg) as story:
            return tamper_with_everything(story) if tamper else tell(story)
