"""``hermetic up``: it says what it started, takes all of it along, and comes back as the same in the same folder."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from pathlib import Path

import pytest

import hermetic
from hermetic.cli._model import find_model
from hermetic.errors import Misconfigured
from stack_support import HERMETIC, PATIENCE, Home, Up, alive, command_line, descendants, eventually, ports, starting


def test_what_it_announces(stack: Up) -> None:
    assert stack.url == f"http://127.0.0.1:{stack.port}"
    assert stack.policy.is_file()
    assert stack.api_key == (stack.folder / "api-key").read_text().strip()
    assert "SIMULATED" in (stack.folder / "up-said.txt").read_text()


def test_what_it_keeps_is_its_owner_s(stack: Up) -> None:
    assert stat.S_IMODE((stack.folder / "api-key").stat().st_mode) == 0o600
    assert stat.S_IMODE((stack.folder / "owner.key").stat().st_mode) == 0o600
    assert not list(stack.folder.glob("**/*.new"))


def test_the_model_lies_nowhere_in_clear(stack: Up) -> None:
    with find_model().open("rb") as file:
        file.seek(50_000_000)
        piece = file.read(64)
    large = [path for path in stack.folder.rglob("*") if path.is_file() and path.stat().st_size > 50_000_000]
    assert large
    assert all(piece not in path.read_bytes() for path in large)


def test_one_at_a_time_in_a_folder(stack: Up) -> None:
    policy = stack.policy.read_bytes()
    port, broker_port = ports()
    done = stack.hermetic("up", "--dir", stack.folder, "--port", str(port), "--broker-port", str(broker_port))
    assert done.returncode == 2
    assert "folder_taken" in done.stderr
    assert stack.policy.read_bytes() == policy
    # Run twice just so, it is the first one that is told of, not its port.
    ports_of_it = ("--port", str(stack.port), "--broker-port", stack.broker_url.rpartition(":")[2])
    assert "folder_taken" in stack.hermetic("up", "--dir", stack.folder, *ports_of_it).stderr


def test_a_folder_that_cannot_be(stranger: Home, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = stranger.hermetic("up", "--dir", tmp_path / "file" / "below")
    assert done.returncode == 2
    assert "cannot make" in done.stderr
    (tmp_path / "up" / "log.jsonl").mkdir(parents=True)
    done = stranger.hermetic("up", "--dir", tmp_path / "up")
    assert done.returncode == 2
    assert "--dir" in done.stderr


def test_a_port_that_is_taken(stack: Up, tmp_path: Path) -> None:
    done = stack.hermetic("up", "--dir", tmp_path / "up", "--port", str(stack.port))
    assert done.returncode == 2
    assert "port_taken" in done.stderr
    done = stack.hermetic("up", "--dir", tmp_path / "up", "--port", str(ports()[0]), "--broker-port", str(stack.port))
    assert done.returncode == 2
    assert "--broker-port" in done.stderr


@pytest.mark.parametrize("name", ["no-such.gguf", "not-one.gguf", "another.bin"])
def test_a_model_that_is_none(stranger: Home, tmp_path: Path, name: str) -> None:
    (tmp_path / "not-one.gguf").write_bytes(b"\x00" * 5000)
    (tmp_path / "another.bin").write_bytes(b"GGUF" * 5000)
    done = stranger.hermetic("up", "--dir", tmp_path / "up", "--model", tmp_path / name)
    assert done.returncode == 2
    assert name in done.stderr
    assert not (tmp_path / "up").exists()


def test_a_model_that_the_engine_refuses(stranger: Home, tmp_path: Path) -> None:
    """It is found out by the server, last of all; the reason reaches the person at the other end."""
    model = tmp_path / "empty.gguf"
    model.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(16))  # no tensors, no metadata
    port, broker_port = ports()
    where = ("--dir", tmp_path / "up", "--port", str(port), "--broker-port", str(broker_port))
    done = stranger.hermetic("up", "--model", model, *where)
    assert done.returncode == 4
    assert "cannot load this model" in done.stderr
    assert str(tmp_path / "up" / "log.jsonl") in done.stderr


def is_broker(pid: int) -> bool:
    return {"broker", "serve"} <= set(command_line(pid))


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP], ids=lambda end: end.name)
def test_an_interrupted_start_leaves_nothing_behind(stranger: Home, tmp_path: Path, end: signal.Signals) -> None:
    try:
        find_model()
    except Misconfigured as error:
        pytest.skip(f"the model is not installed: {error.fix}")
    port, broker_port = ports()
    where = ("--dir", tmp_path / "up", "--port", str(port), "--broker-port", str(broker_port))
    process = subprocess.Popen(
        [*HERMETIC, "up", *where],
        env=stranger.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started = eventually(lambda: descendants(process.pid), until=lambda below: any(map(is_broker, below)))
    process.send_signal(end)
    assert process.wait(PATIENCE) != 0
    assert not [pid for pid in started if alive(pid)]


def test_it_comes_back_with_other_keys(
    home: Home, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the server's keys are new.  A client that was made before finds out, and asks again by itself."""
    monkeypatch.setenv("HERMETIC_STATE", str(tmp_path / "client"))
    mine = Home(folder=tmp_path / "home", programs=home.programs)
    folder, where = tmp_path / "up", ports()
    with starting(mine, folder, at=where) as up:
        client = hermetic.OpenAI(
            up.url, policy=up.policy, allow_simulated=True, api_key=up.api_key, timeout=PATIENCE, max_retries=5
        )
        assert [model.id for model in client.models.list()] == [up.model]
        before = json.loads(up.hermetic("verify", "--json").stdout)
        policy = up.policy.read_bytes()
    with client, starting(mine, folder, at=where) as up:
        assert up.policy.read_bytes() == policy
        assert [model.id for model in client.models.list()] == [up.model]
        question = [{"role": "user", "content": "Say hello."}]
        answer = client.chat.completions.create(model=up.model, messages=question, max_tokens=4)  # type: ignore[arg-type]
        assert answer.choices[0].message.content
        after = json.loads(up.hermetic("verify", "--json").stdout)
    assert before["keyset_digest"] != after["keyset_digest"]
    assert before["launch_digest"] == after["launch_digest"]


def test_on_another_tee_with_gpus_and_a_switch(home: Home, tmp_path: Path) -> None:
    """Keys are released to processor and devices together, and a stranger's verdict is over both."""
    mine = Home(folder=tmp_path / "home", programs=home.programs)
    machine = ("--tee", "tdx", "--gpus", "2", "--switches", "1")
    with starting(mine, tmp_path / "up", *machine) as up:
        done = up.hermetic("verify", "--json")
        document = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert (document["verdict"], document["simulated"]) == ("accepted", True)
        checks = {check["name"]: check["outcome"] for check in document["checks"]}
        assert set(checks.values()) == {"pass"}
        assert {"tdx.report-data", "launch.mrconfigid", "binding.devices"} <= checks.keys()
        # One device more is another machine, and a policy of a processor alone wants no devices.
        text, policy = up.policy.read_text(), tmp_path / "changed.toml"
        for other in (text.replace("gpus = 2", "gpus = 3"), text.partition("[nvidia]")[0]):
            policy.write_text(other)
            refused = up.hermetic("verify", up.url, "--policy", policy, "--allow-simulated", "--json")
            assert refused.returncode == 1, refused.stderr
            assert json.loads(refused.stdout)["verdict"] == "refused"
