"""server.toml: strict, with the field and its line in every refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermetic.errors import Misconfigured
from hermetic.identity import format_ed25519
from hermetic.serve.config import Limits, load_config, parse_config
from hermetic.wire import sha256_digest

WHOLE = f"""service = "clinic-chat"
[listen]
port = 0
[model]
name = "toy"
bundle = "sealed"
resource = "broker/clinic/toy"
version = "1"
manifest_digest = "{sha256_digest(b"manifest")}"
[broker]
url = "http://127.0.0.1:8443"
key = "{format_ed25519(bytes(32))}"
log_key = "log.example+00000000+x"
[api_keys]
digests = ["{sha256_digest(b"key")}"]
"""


def test_a_whole_configuration(tmp_path: Path) -> None:
    path = tmp_path / "server.toml"
    path.write_text(WHOLE)
    config, digest = load_config(path)
    assert digest == sha256_digest(WHOLE.encode())
    assert config.model.bundle == tmp_path / "sealed"
    assert config.limits == Limits()
    assert config.engine.threads is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("", "colour = 1\n"), r"s\.toml:1: .*colour"),
        (("port = 0", "port = 0\nprot = 1"), r"s\.toml:4: .*prot"),
        (("port = 0", "port = 70000"), r"s\.toml:3: .*65535.*listen\.port"),
        (("port = 0", 'port = "0"'), r"s\.toml:3: .*int"),
        (("[listen]", "[listne]"), r"s\.toml:2: .*listne"),
        (('name = "toy"', 'name = "a model"'), r"s\.toml:5: "),
        (('version = "1"', "version = 1"), r"s\.toml:8: "),
        (('service = "clinic-chat"\n', ""), "service"),
        (('bundle = "sealed"', 'bundle = ""'), r"s\.toml:6: .*path"),
        (("manifest_digest = ", 'manifest_digest = "x" #'), "manifest_digest"),
        (("key = ", 'key = "ed25519:x" #'), "base64"),
        (("http://127.0.0.1:8443", "ftp://127.0.0.1"), r"broker\.url"),
        (("http://127.0.0.1:8443", "http://user@host"), r"broker\.url"),
        (("http://127.0.0.1:8443", "http://"), r"broker\.url"),
        (("digests = ", "digests = [] #"), r"api_keys: no API key.*open = true"),
        (("digests = ", "open = true\ndigests = "), "api_keys: .*useless"),
        (("[api_keys]", "[api_keys"), "line 14"),
        (("port = 0", "port = " + "[" * 100_000), r"s\.toml: nested too deeply"),
        (("port = 0", "port = " + "9" * 5_000), r"s\.toml: .*digits"),
    ],
)
def test_every_slip_is_named(change: tuple[str, str], said: str) -> None:
    old, new = change
    with pytest.raises(Misconfigured, match=said):
        parse_config((WHOLE.replace(old, new, 1) if old else new + WHOLE).encode(), folder=Path(), name="s.toml")


def test_what_is_not_text_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="utf-8"):
        parse_config(b"\xff", folder=tmp_path, name="s.toml")
    with pytest.raises(Misconfigured, match="No such file"):
        load_config(tmp_path / "absent.toml")
