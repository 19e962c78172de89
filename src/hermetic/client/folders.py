"""Where a user's client keeps what it must remember: one folder, 0700, under the XDG state directory."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from hermetic.errors import Malformed
from hermetic.sources.own_folder import own_folder
from hermetic.wire import parse_object

__all__ = ["read_document", "state_folder", "write_document"]


def state_folder() -> Path:
    """``$HERMETIC_STATE``, or ``$XDG_STATE_HOME/hermetic``, or ``~/.local/state/hermetic``; made if absent.

    Raises Misconfigured where it cannot be made, and where it is not this user's alone to write to: who writes there
    sets the clock back and takes pinned checkpoints away.
    """
    chosen = os.environ.get("HERMETIC_STATE")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    folder = Path(chosen) if chosen else Path(base) / "hermetic"
    return own_folder(folder, what="the state folder")


def read_document(path: Path) -> dict[str, Any] | None:
    """The JSON object in ``path``, or None if there is no such file.  Raises Malformed on anything else."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Malformed(f"cannot read {path}: {error.strerror}") from error
    return parse_object(data, what=str(path))


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Writes ``document`` durably and all at once, readable by its owner only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
