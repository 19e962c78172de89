"""Small installed distributions and a configuration, for tests of what is measured and launched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CONFIG", "install"]

CONFIG = """\
service = "clinic-chat"

[model]
name = "smollm2-135m"
bundle = "model"
manifest_digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

[broker]
url = "http://127.0.0.1:8443"
key = "ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
"""


def install(
    site: Path,
    name: str,
    *,
    version: str = "1.0",
    requires: Sequence[str] = (),
    extras: Sequence[str] = ("serve",),
    files: Mapping[str, str] | None = None,
    direct_url: str | None = None,
    record: bool = True,
) -> Path:
    """Installs a distribution as an installer would: its files, its metadata and a RECORD of both."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {line}" for line in requires]
    written = dict(files or {}) | {
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/INSTALLER": "some installer\n",
        f"{info}/REQUESTED": "",
    }
    if direct_url is not None:
        written[f"{info}/direct_url.json"] = direct_url
    for path, text in written.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    if record:
        (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in (*written, f"{info}/RECORD")))
    return site / info
