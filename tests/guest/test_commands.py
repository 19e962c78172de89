"""``hermetic measure``, ``hermetic simulator`` and ``hermetic platform`` as a person runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from guest_support import CONFIG
from hermetic.cli import cli, main
from hermetic.guest import measure
from hermetic.guest.installation import Installation
from hermetic.identity import LaunchDocument
from hermetic.wire import canonical, parse_object


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "server.toml"
    path.write_text(CONFIG)
    return path


def _run(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installation.package.parent), "COLUMNS": "80"}
    return subprocess.run(
        [sys.executable, "-B", "-m", "hermetic", *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, installation: Installation) -> LaunchDocument:
    config = tmp_path_factory.mktemp("elsewhere") / "server.toml"
    config.write_text(CONFIG)
    return measure(config, installation=installation)


def test_measure_prints_and_writes_the_launch_document(
    config: Path, installation: Installation, document: LaunchDocument
) -> None:
    output = config.with_name("launch.json")
    done = _run(installation, "measure", str(config), "--json", "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"launch_digest": document.digest, "launch": document.to_json()}
    assert output.read_bytes() == canonical(document.to_json())
    assert LaunchDocument.from_json(parse_object(output.read_bytes())) == document


def test_measure_says_every_value_in_a_line_of_its_own(
    config: Path, installation: Installation, document: LaunchDocument
) -> None:
    lines = [line.strip() for line in _run(installation, "measure", str(config)).stdout.splitlines()]
    for value in (document.digest, document.program_digest, document.config_digest, document.broker_key):
        assert value in lines
    assert f"smollm2-135m  {document.models[0].manifest_digest}" in lines


def test_measure_refuses_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["measure", str(tmp_path / "absent.toml")])
    assert stopped.value.code == 2
    assert "cannot read" in capsys.readouterr().err


def test_only_a_measured_workload_is_launched(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["simulator", "run", "--", "bash", "-c", "true"])
    assert stopped.value.code == 2
    assert "hermetic simulator run -- hermetic serve --config" in capsys.readouterr().err


def test_root_is_made_once_and_reset_forgets_it(tmp_path: Path) -> None:
    where = ["--state", str(tmp_path / "state")]
    first = CliRunner().invoke(cli, ["simulator", "root", *where]).output.strip()
    values = json.loads(CliRunner().invoke(cli, ["simulator", "root", "--json", *where]).output)
    assert values["simulated_root"] == first
    assert values["product"] == "Genoa"
    assert len(values["measurement"]) == 96
    store = tmp_path / "store"
    (store / ("0" * 64) / "lib").mkdir(parents=True)
    (store / ("0" * 64)).chmod(0o500)
    (store / "something else").mkdir()
    words = ["simulator", "reset", *where, "--store", str(store)]
    assert CliRunner().invoke(cli, words, input="n\n").exit_code == 1
    assert CliRunner().invoke(cli, [*words, "--yes"]).output == "removed 2 simulated vendors and 1 program copies\n"
    assert [path.name for path in store.iterdir()] == ["something else"]
    assert list((tmp_path / "state").iterdir()) == []


def test_platform_names_what_is_used_and_what_is_not_implemented() -> None:
    found = json.loads(CliRunner().invoke(cli, ["platform", "--json"]).output)
    assert {finding["name"] for finding in found["findings"]} >= {"hermetic simulator", "dstack", "NVML"}
    text = CliRunner().invoke(cli, ["platform"]).output
    assert found["summary"] in text
    assert "not implemented yet" in text
