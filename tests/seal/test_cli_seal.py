"""``hermetic keygen``, ``seal`` and ``open`` as people and programs use them."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hermetic.cli import main
from hermetic.seal import SignedVersion, parse_identities, parse_recipient
from hermetic.seal.age import HybridRecipient, X25519Recipient
from seal_support import CHUNK, CLASSIC, HYBRID, STRANGER, flipped, needs_age, opened, sealed

Run = Callable[..., "Result"]


class Result:
    """An exit code, and what was said on both outputs."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.out)
        return value


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``hermetic`` in an empty folder that holds a hybrid key file, ``key``, and a stranger's, ``stranger``."""
    monkeypatch.chdir(tmp_path)
    Path("key").write_text(f"# a comment\n{HYBRID.reveal()}\n")
    Path("stranger").write_text(f"{STRANGER.reveal()}\n")

    def call(*words: str | Path) -> Result:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return Result(int(ended.value.code or 0), said.out, said.err)

    return call


TO_US = ("-r", str(HYBRID.recipient()))


def piped(*words: str | Path, data: bytes, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from hermetic.cli import main; main()", *words]
    return subprocess.run(command, input=data, capture_output=True, check=False, cwd=cwd, timeout=60)


# keygen


def test_keygen_prints_the_recipient_and_keeps_the_secret(run: Run) -> None:
    result = run("keygen")
    assert result.code == 0
    recipient = parse_recipient(result.out.strip())
    assert isinstance(recipient, HybridRecipient)
    text = Path("hermetic.key").read_text()
    assert [identity.recipient() for identity in parse_identities(text)] == [recipient]
    assert stat.S_IMODE(Path("hermetic.key").stat().st_mode) == 0o600
    secret = text.splitlines()[-1]
    assert secret not in result.out + result.err


def test_keygen_never_replaces_a_key(run: Run) -> None:
    before = Path("key").read_text()
    result = run("keygen", "-o", "key")
    assert result.code == 2
    assert "never overwritten" in result.err
    assert Path("key").read_text() == before


def test_keygen_classic_and_owner(run: Run) -> None:
    classic = run("keygen", "--classic", "-o", "c", "--json").json
    assert isinstance(parse_recipient(classic["public"]), X25519Recipient)
    assert (classic["kind"], classic["file"]) == ("classic", "c")
    owner = run("keygen", "--owner", "--json").json
    assert owner["public"].startswith("ed25519:")
    assert stat.S_IMODE(Path(owner["file"]).stat().st_mode) == 0o600
    both = run("keygen", "--owner", "--classic", "-o", "both")
    assert (both.code, "not both" in both.err, Path("both").exists()) == (2, True, False)


@needs_age
def test_stock_age_reads_a_classic_key_file(run: Run, tmp_path: Path) -> None:
    recipient = run("keygen", "--classic").out.strip()
    file = subprocess.run(["age", "-r", recipient], input=b"text", capture_output=True, check=True).stdout
    (tmp_path / "f.age").write_bytes(file)
    plain = subprocess.run(["age", "-d", "-i", "hermetic.key", "f.age"], capture_output=True, check=True).stdout
    assert plain == b"text"
    assert run("open", "f.age", "-i", "hermetic.key").code == 0
    assert Path("f").read_bytes() == b"text"


# Files


@pytest.mark.parametrize("size", [0, 5, CHUNK, 1_500_000])
def test_a_file_goes_there_and_back(run: Run, size: int) -> None:
    data = os.urandom(size)
    Path("f").write_bytes(data)
    assert run("seal", "f", *TO_US).code == 0
    assert opened(Path("f.age").read_bytes()) == data
    result = run("open", "f.age", "-i", "key", "-o", "g", "--json")
    assert result.json["output"] == "g"
    assert Path("g").read_bytes() == data
    assert stat.S_IMODE(Path("g").stat().st_mode) == 0o600


def test_recipients_come_as_text_or_file(run: Run) -> None:
    Path("f").write_bytes(b"x")
    Path("team").write_text(f"# us\n{HYBRID.recipient()}\n{STRANGER.recipient()}\n")
    for number, word in enumerate(["@team", "team"]):
        result = run("seal", "f", "-r", word, "-o", f"{number}.age", "--json").json
        assert (result["recipients"], result["post_quantum"]) == (2, True)
        for key in ("key", "stranger"):
            assert run("open", f"{number}.age", "-i", key, "-o", f"{number}.{key}").code == 0


def test_the_recipient_decides_whether_it_is_post_quantum(run: Run) -> None:
    Path("f").write_bytes(b"x")
    assert run("seal", "f", "-r", str(CLASSIC.recipient()), "--json").json["post_quantum"] is False
    mixed = run("seal", "f", *TO_US, "-r", str(CLASSIC.recipient()), "-o", "m")
    assert (mixed.code, Path("m").exists()) == (2, False)


def test_several_key_files(run: Run) -> None:
    Path("f.age").write_bytes(sealed(b"x"))
    assert run("open", "f.age", "-i", "stranger", "-i", "key").code == 0


def test_through_pipes(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(HYBRID.reveal())
    data = os.urandom(200_000)
    to_pipe = piped("seal", "-", *TO_US, data=data, cwd=tmp_path)
    assert (to_pipe.returncode, opened(to_pipe.stdout)) == (0, data)
    to_file = piped("seal", "-", *TO_US, "-o", "f.age", data=data, cwd=tmp_path)
    assert (to_file.returncode, to_file.stdout) == (0, b"")
    assert piped("open", "f.age", "-i", "key", "-o", "-", data=b"", cwd=tmp_path).stdout == data
    assert piped("open", "-", "-i", "key", data=to_pipe.stdout, cwd=tmp_path).stdout == data
    assert piped("open", "-", "-i", "key", "-o", "g", data=to_pipe.stdout, cwd=tmp_path).returncode == 0
    assert (tmp_path / "g").read_bytes() == data


def test_a_pipe_that_was_cut_ends_with_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(HYBRID.reveal())
    data = sealed(os.urandom(200_000))[:-10]
    to_pipe = piped("open", "-", "-i", "key", data=data, cwd=tmp_path)
    assert to_pipe.returncode == 1
    assert b"cut short" in to_pipe.stderr
    assert piped("open", "-", "-i", "key", "-o", "g", data=data, cwd=tmp_path).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_an_age_file_is_not_written_to_a_terminal(tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    command = [sys.executable, "-c", "from hermetic.cli import main; main()"]
    try:
        (tmp_path / "f").write_bytes(b"x")
        sealing = subprocess.run(
            [*command, "seal", "f", *TO_US, "-o", "-"],
            stdout=terminal,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
        )
        assert (sealing.returncode, b"terminal" in sealing.stderr) == (2, True)
        (tmp_path / "key").write_text(HYBRID.reveal())
        (tmp_path / "f.age").write_bytes(sealed(b"plain text"))
        subprocess.run([*command, "open", "f.age", "-i", "key", "-o", "-"], stdout=terminal, cwd=tmp_path, check=True)
        assert os.read(controller, 100) == b"plain text", "what was sealed may well be text to read"
    finally:
        os.close(controller)
        os.close(terminal)


def test_json_does_not_mix_with_data_in_a_pipe(tmp_path: Path) -> None:
    result = piped("seal", "-", *TO_US, "--json", data=b"x", cwd=tmp_path)
    assert opened(result.stdout) == b"x"
    assert json.loads(result.stderr)["output"] == "-"


# Refusals: each with its exit code, a sentence that helps, and nothing left behind.


def broken() -> bytes:
    file = sealed(bytes(100))
    return flipped(file, len(file) * 8 - 1)


VERSION = ["--resource", "x", "--version", "1", "--sign", "owner.key"]
REFUSED = {
    "wrong key": (["open", "g.age", "-i", "stranger"], 1, "not sealed to this key"),
    "broken": (["open", "broken.age", "-i", "key", "-o", "g"], 1, "changed or cut"),
    "not age": (["open", "key", "-i", "key", "-o", "g"], 1, "not an age file"),
    "armored": (["open", "armored.age", "-i", "key"], 1, "armor"),
    "no such file": (["open", "no.age", "-i", "key"], 2, "cannot read no.age"),
    "no such key": (["open", "f.age", "-i", "no"], 2, "cannot read no"),
    "key is no key": (["open", "g.age", "-i", "f.age"], 1, "f.age:"),
    "no name to open to": (["open", "broken", "-i", "key"], 2, "--output"),
    "output is there": (["open", "f.age", "-i", "key", "-o", "key"], 2, "--force"),
    "no folder": (["open", "f.age", "-i", "key", "-o", "no/g"], 2, "no folder"),
    "owner of a file": (["open", "f.age", "-i", "key", "--owner", "ed25519:x"], 2, "not a bundle"),
    "manifest of a file": (["open", "g.age", "-i", "key", "--manifest", "sha256:x"], 2, "not a bundle"),
    "bundle into a pipe": (["open", "folder", "-i", "key", "-o", "-"], 2, "pipe"),
    "key too large": (["open", "g.age", "-i", "large"], 1, "too large"),
    "no identity": (["open", "f.age"], 2, "--identity"),
    "no recipient": (["seal", "key"], 2, "--recipient"),
    "bad recipient": (["seal", "key", "-r", "age1qqqqqq"], 1, "checksum"),
    "secret as recipient": (["seal", "key", "-r", "key"], 1, "secret key"),
    "sealed already": (["seal", "f", *TO_US], 2, "--force"),
    "no such source": (["seal", "no", *TO_US], 2, "cannot read no"),
    "bundle of nothing": (["seal", "empty", *TO_US], 2, "no files"),
    "no such source for a bundle": (["seal", "no", "--bundle", *TO_US], 2, "cannot read"),
    "key as a folder": (["open", "g.age", "-i", "folder"], 2, "cannot read folder"),
    "output in a file": (["open", "g.age", "-i", "key", "-o", "key/g"], 2, "no folder"),
    "bundle from a pipe": (["seal", "-", "--bundle", *TO_US], 2, "pipe"),
    "only a resource": (["seal", "folder", *TO_US, "--resource", "a/b/c"], 2, "go together"),
    "no resource": (["seal", "folder", *TO_US, *VERSION[2:]], 2, "go together"),
    "no version": (["seal", "folder", *TO_US, *VERSION[:2], *VERSION[4:]], 2, "go together"),
    "no owner": (["seal", "folder", *TO_US, *VERSION[:4]], 2, "go together"),
    "misspelt resource": (["seal", "folder", *TO_US, *VERSION], 1, "tenant"),
    "no bundle": (["open", "empty", "-i", "key", "-o", "g"], 2, "manifest.json"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "code", "sentence"), REFUSED.values(), ids=REFUSED)
def test_refusals_help_and_leave_nothing(run: Run, tmp_path: Path, words: list[str], code: int, sentence: str) -> None:
    Path("f").write_bytes(b"x")
    Path("f.age").write_bytes(sealed(b"x"))
    Path("g.age").write_bytes(sealed(b"x"))
    Path("broken.age").write_bytes(broken())
    Path("broken").write_bytes(broken())
    Path("armored.age").write_bytes(b"-----BEGIN AGE ENCRYPTED FILE-----\n")
    Path("large").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    Path("empty").mkdir()
    Path("folder").mkdir()
    Path("folder/x").write_bytes(b"x")
    run("keygen", "--owner")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run(*words)
    assert result.code == code, result.err
    assert sentence in result.err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert HYBRID.reveal() not in result.err


def test_force_replaces(run: Run) -> None:
    Path("f").write_bytes(b"new")
    Path("f.age").write_bytes(b"old")
    assert run("seal", "f", *TO_US, "--force").code == 0
    Path("f").write_bytes(b"old")
    assert run("open", "f.age", "-i", "key", "--force").code == 0
    assert Path("f").read_bytes() == b"new"


# Bundles


@pytest.fixture
def folder(run: Run) -> Path:
    model = Path("smol")
    (model / "sub").mkdir(parents=True)
    (model / "weights.safetensors").write_bytes(os.urandom(100_000))
    (model / "sub" / "card.md").write_text("a card")
    return model


def same(first: Path, second: Path) -> bool:
    def contents(root: Path) -> dict[str, bytes]:
        return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    return contents(first) == contents(second)


def test_a_folder_becomes_a_bundle_and_comes_back(run: Run, folder: Path) -> None:
    sealed_to = run("seal", folder, *TO_US, "--licence", "Apache-2.0", "--json").json
    assert (sealed_to["kind"], sealed_to["name"], sealed_to["licence"]) == ("model", "smol", "Apache-2.0")
    assert sealed_to["version"] is None
    result = run("open", "smol.bundle", "-i", "key", "-o", "again", "--json").json
    assert same(folder, Path("again"))
    assert result["manifest_digest"] == sealed_to["manifest_digest"]
    assert result["vouched_by"] == []


def test_the_manifest_digest_is_printed_alone(run: Run, folder: Path) -> None:
    result = run("seal", folder, *TO_US)
    digest = result.out.strip()
    assert digest.startswith("sha256:")
    assert run("open", "smol.bundle", "-i", "key", "-o", "a", "--manifest", digest).code == 0
    other = run("open", "smol.bundle", "-i", "key", "-o", "b", "--manifest", "sha256:" + "0" * 64)
    assert (other.code, Path("b").exists()) == (1, False)


def test_a_bundle_that_nobody_vouches_for_says_so(run: Run, folder: Path) -> None:
    run("seal", folder, *TO_US)
    assert "NOT CHECKED" in run("open", "smol.bundle", "-i", "key", "-o", "again").err


def test_a_signed_version(run: Run, folder: Path) -> None:
    owner = run("keygen", "--owner").out.strip()
    stranger = run("keygen", "--owner", "-o", "other.key").out.strip()
    version = ["--resource", "broker/acme/smol", "--version", "1", "--sign", "owner.key"]
    result = run("seal", folder, *TO_US, *version, "--json").json
    signed = SignedVersion.from_json(result["version"]).verify(owner=owner)
    assert signed.manifest_digest == result["manifest_digest"]
    assert set(signed.headers) == {file["header_digest"] for file in result["files"]}
    vouched = run("open", "smol.bundle", "-i", "key", "-o", "again", "--owner", owner)
    assert (vouched.code, "vouched for by its owner" in vouched.err) == (0, True)
    refused = run("open", "smol.bundle", "-i", "key", "-o", "no", "--owner", stranger)
    assert (refused.code, Path("no").exists()) == (1, False)
    Path("smol.bundle/version.json").unlink()
    assert run("open", "smol.bundle", "-i", "key", "-o", "no", "--owner", owner).code == 1


def test_a_version_of_another_bundle_does_not_vouch(run: Run, folder: Path) -> None:
    owner = run("keygen", "--owner").out.strip()
    run("seal", folder, *TO_US, "--resource", "a/b/c", "--version", "1", "--sign", "owner.key")
    run("seal", folder, *TO_US, "-o", "other")
    Path("smol.bundle/version.json").rename("other/version.json")
    refused = run("open", "other", "-i", "key", "-o", "no", "--owner", owner)
    assert (refused.code, Path("no").exists()) == (1, False)
    assert "version_mismatch" in refused.err


def test_kind_and_name_can_be_said(run: Run, folder: Path) -> None:
    result = run("seal", folder, *TO_US, "--kind", "data", "--name", "A name", "-o", "b", "--json").json
    assert (result["kind"], result["name"]) == ("data", "A name")


def test_what_only_a_bundle_has_makes_a_bundle_of_a_file(run: Run, folder: Path) -> None:
    for number, words in enumerate([["--bundle"], ["--licence", "MIT"], ["--name", "x"], ["--kind", "data"]]):
        one = run("seal", folder / "sub/card.md", *TO_US, *words, "-o", f"one{number}", "--json").json
        assert (one["kind"], [file["name"] for file in one["files"]]) == ("data", ["card.md"])


def test_a_bundle_is_named_after_its_real_folder(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run("seal", ".", "-r", str(HYBRID.recipient()), "--json").json["name"] == "smol"
    assert (folder.resolve().parent / "smol.bundle").is_dir() or Path("../smol.bundle").is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_opening_leaves_no_plaintext(tmp_path: Path, number: signal.Signals) -> None:
    """Input comes slowly through a pipe, so the program is in the middle of its work when the signal comes."""
    (tmp_path / "key").write_text(HYBRID.reveal())
    data = sealed(os.urandom(1_000_000))
    command = [sys.executable, "-c", "from hermetic.cli import main; main()", "open", "-", "-i", "key", "-o", "g"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(data[:500_000])
        process.stdin.flush()
        wait_until(lambda: any(path.name.endswith(".partial") for path in tmp_path.iterdir()))
        assert end(process, number) in (130, 143)
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def end(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Signals until it ends: a signal that comes just before a blocking read is seen only after the read."""
    for _ in range(30):
        process.send_signal(number)
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it does not end")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "the program did not begin"
        time.sleep(0.01)


@pytest.mark.parametrize("command", ["keygen", "seal", "open"])
def test_help_shows_examples(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert "Examples:" in result.out
    assert f"hermetic {command}" in result.out
