"""``hermetic policy``: what it writes loads, lints and accepts; what is dangerous it says."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w

import intel_support
from hermetic.evidence import Composite
from hermetic.policy import Policy
from stack_support import Home, Up
from vectors import needs_vectors


def findings(home: Home, policy: Path) -> tuple[int, set[str]]:
    """``hermetic policy lint``: exit code, and the codes of what would refuse."""
    done = home.hermetic("policy", "lint", policy, "--json")
    document = json.loads(done.stdout)
    codes = {finding["code"] for finding in document["findings"] if finding["refuses"]}
    assert document["refused"] == bool(codes)
    return done.returncode, codes


def test_trust_on_first_use(stack: Up, stranger: Home, tmp_path: Path) -> None:
    written = stranger.hermetic("policy", "new", stack.url, "--allow-simulated")
    assert written.returncode == 0, written.stderr
    assert "Trust on first use" in written.stdout
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert findings(stranger, policy) == (0, set())
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated")
    assert done.returncode == 0, done.stdout
    pinned, ours = Policy.load(policy), Policy.load(stack.policy)
    assert pinned.workload == ours.workload


def test_from_a_launch_document(stack: Up, stranger: Home, tmp_path: Path) -> None:
    root = json.loads(stack.hermetic("simulator", "root", "--json").stdout)
    written = stranger.hermetic(
        *("policy", "new", "--launch", stack.folder / "launch.json", "--product", root["product"]),
        *("--measurement", root["measurement"], "--simulated-root", root["simulated_root"]),
    )
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 0


def test_from_a_launch_document_on_the_simulator_of_this_machine(stack: Up, stranger: Home, tmp_path: Path) -> None:
    arguments = ("--launch", stack.folder / "launch.json", "--allow-simulated")
    written = stack.hermetic("policy", "new", *arguments, "--log-key", stack.log_key)
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert Policy.load(policy).log_keys == (stack.log_key,)
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 0
    # Hardware and simulator are not mixed.
    assert stack.hermetic("policy", "new", *arguments, "--product", "Genoa").returncode == 2


@pytest.mark.parametrize("tee", ["snp", "tdx", "sgx"])
def test_for_any_machine_that_the_simulator_plays(stack: Up, tmp_path: Path, tee: str) -> None:
    machine = ("--tee", tee, "--gpus", "2", "--switches", "1")
    written = stack.hermetic("policy", "new", "--launch", stack.folder / "launch.json", "--allow-simulated", *machine)
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    platform = Policy.load(policy).platform
    assert platform.tees == ({"snp": "SEV-SNP", "tdx": "TDX", "sgx": "SGX"}[tee],)
    assert platform.nvidia is not None
    assert (platform.nvidia.gpus, platform.nvidia.switches, platform.nvidia.modes) == (2, 1, ("PPCIE",))
    root = json.loads(stack.hermetic("simulator", "root", "--tee", tee, "--json").stdout)
    assert platform.simulated_root == root["simulated_root"]
    assert platform.nvidia.simulated_device_root == root["simulated_device_root"]
    assert platform.nvidia.simulated_manifest_root == root["simulated_manifest_root"]


COS = "tdx/v5-90c06f000000-go-tdx-guest-cf77a6"


def test_from_evidence_of_a_machine_that_one_trusts(stack: Up, stranger: Home, tmp_path: Path) -> None:
    """A recorded one, at a time at which it verifies; and not at another, nor a simulator's."""
    collateral = "collateral-2026-03-09-UpToDate.json"
    bundle = tmp_path / "bundle.json"
    bundle.write_bytes(Composite(platform=intel_support.bundle_of(COS, collateral)).to_bytes())
    arguments = ("policy", "new", "--launch", stack.folder / "launch.json", "--evidence", bundle)
    at = intel_support.time_of(COS, collateral)
    written = stranger.hermetic(*arguments, "--at", at.isoformat())
    assert written.returncode == 0, written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    tdx = Policy.load(policy).platform.tdx
    assert tdx is not None
    assert [len(pins or ()) for pins in (tdx.mr_tds, tdx.rtmr1s, tdx.rtmr2s)] == [1, 1, 1]
    assert tdx.tcb_date_min is not None
    late = stranger.hermetic(*arguments, "--at", "2040-01-01T00:00:00Z")
    assert (late.returncode, late.stdout) == (1, "")
    mixed = stranger.hermetic(*arguments, "--product", "Genoa", "--measurement", "00" * 48)
    assert (mixed.returncode, mixed.stdout) == (2, "")


def test_nothing_is_written_for_what_is_no_measurement(stack: Up, stranger: Home) -> None:
    arguments = ("--launch", stack.folder / "launch.json", "--product", "Genoa", "--measurement", "MEASUREMENT")
    written = stranger.hermetic("policy", "new", *arguments)
    assert written.returncode == 2
    assert written.stdout == ""
    assert "96 hex digits" in written.stderr


FLOOR = """
[snp.tcb.Genoa]
boot_loader = 9
tee = 0
snp = 21
microcode = 71
"""


def test_a_production_policy_needs_floors_and_holds_no_simulator(stack: Up, stranger: Home, tmp_path: Path) -> None:
    root = json.loads(stack.hermetic("simulator", "root", "--json").stdout)
    arguments = ("--launch", stack.folder / "launch.json", "--product", "Genoa", "--measurement", root["measurement"])
    written = stranger.hermetic("policy", "new", *arguments, "--profile", "production")
    assert written.returncode == 3
    assert "[snp.tcb.Genoa]" in written.stderr
    policy = tmp_path / "policy.toml"
    policy.write_text(written.stdout)
    assert "add [snp.tcb.Genoa]" in stranger.hermetic("policy", "lint", policy).stdout  # brackets are no markup
    policy.write_text(written.stdout + FLOOR)
    assert findings(stranger, policy) == (0, set())
    # It loads, and no simulator is in it, whatever the caller allows.
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "simulated_root_unpinned"
    # Nor can one be put in.
    policy.write_text(f'simulated_root = "{root["simulated_root"]}"\n{written.stdout}{FLOOR}')
    assert findings(stranger, policy) == (1, {"simulation_in_production"})
    assert stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated").returncode == 2


def test_a_simulator_is_pinned_only_when_asked_to(stack: Up, stranger: Home) -> None:
    done = stranger.hermetic("policy", "new", stack.url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "--allow-simulated" in done.stderr


@pytest.mark.parametrize("gap", ["services", "programs", "configs", "argv"])
def test_a_policy_that_pins_nothing_is_refused(stack: Up, stranger: Home, tmp_path: Path, gap: str) -> None:
    document = tomllib.loads(stack.policy.read_text())
    document["workload"][gap] = []
    policy = tmp_path / "policy.toml"
    policy.write_text(tomli_w.dumps(document))
    assert findings(stranger, policy) == (1, {f"pins_no_{gap}"})
    done = stranger.hermetic("verify", stack.url, "--policy", policy, "--allow-simulated")
    assert done.returncode == 2
    assert f"pins_no_{gap}" in done.stderr
    said = stranger.hermetic("policy", "lint", policy)
    assert said.returncode == 1
    assert f"pins_no_{gap}" in said.stdout


@pytest.mark.parametrize(
    "text",
    ["version = 1\n", "version = 99\n", "not toml at all", 'version = 1\nprofile = "development"\nsurprise = 1\n'],
)
def test_what_is_no_policy(stranger: Home, tmp_path: Path, text: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(text)
    done = stranger.hermetic("policy", "lint", policy)
    assert done.returncode == 2
    assert str(policy) in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["policy", "new"],
        ["policy", "new", "http://127.0.0.1:1", "--launch", "launch.json"],
        ["policy", "new", "http://127.0.0.1:1", "--profile", "production"],
        ["policy", "new", "--launch", "launch.json"],
        ["policy", "new", "--launch", "no-such.json", "--product", "Genoa", "--measurement", "00" * 48],
        ["policy", "lint", "no-such.toml"],
    ],
    ids=" ".join,
)
def test_wrong_usage(stranger: Home, arguments: list[str]) -> None:
    done = stranger.hermetic(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_nobody_there(stranger: Home) -> None:
    assert stranger.hermetic("policy", "new", "http://127.0.0.1:1").returncode == 4


# hermetic policy release

VALUES = f"""
name = "clinic-chat"
version = "1.4"
issued = 2026-02-01T00:00:00Z
not_after = 2027-02-01T00:00:00Z

[tdx]
mr_tds = ["{"aa" * 48}"]
"""


def signing_key(home: Home, path: Path) -> str:
    """A new owner's key; its public half."""
    done = home.hermetic("keygen", "--owner", "--output", path, "--json")
    public: str = json.loads(done.stdout)["public"]
    return public


def test_a_release_is_signed_shown_and_relied_upon(stranger: Home, tmp_path: Path) -> None:
    one, other = (signing_key(stranger, tmp_path / f"{name}.key") for name in ("one", "other"))
    (tmp_path / "values.toml").write_text(VALUES)
    signed = stranger.hermetic("policy", "release", "sign", tmp_path / "values.toml", "--key", tmp_path / "one.key")
    assert signed.returncode == 0, signed.stderr
    (tmp_path / "one.json").write_text(signed.stdout)
    both = stranger.hermetic("policy", "release", "cosign", tmp_path / "one.json", "--key", tmp_path / "other.key")
    assert both.returncode == 0, both.stderr
    (tmp_path / "release.json").write_text(both.stdout)

    shown = stranger.hermetic("policy", "release", "show", tmp_path / "release.json")
    assert {"clinic-chat 1.4", f"signed by {one}", f"signed by {other}"} <= set(shown.stdout.splitlines())
    assert f"tdx.mr_tds {'aa' * 48}" in shown.stdout
    said = json.loads(stranger.hermetic("policy", "release", "show", tmp_path / "release.json", "--json").stdout)
    assert set(said["signers"]) == {one, other}

    policy = tmp_path / "policy.toml"
    table = f'[release]\nfile = "release.json"\nname = "clinic-chat"\nsigners = ["{one}", "{other}"]\n'
    policy.write_text(f'version = 1\nprofile = "development"\n[tdx]\n{table}')
    assert findings(stranger, policy) == (0, set())
    policy.write_text(policy.read_text().replace("release.json", "one.json"))
    done = stranger.hermetic("policy", "lint", policy)
    assert done.returncode == 2
    assert "release_signature" in done.stderr


def test_a_signature_that_does_not_hold_is_shown_as_such(stranger: Home, tmp_path: Path) -> None:
    signing_key(stranger, tmp_path / "owner.key")
    (tmp_path / "values.toml").write_text(VALUES)
    arguments = ("policy", "release", "sign", tmp_path / "values.toml", "--key", tmp_path / "owner.key")
    document = json.loads(stranger.hermetic(*arguments).stdout)
    document["document"]["version"] = "1.5"
    (tmp_path / "release.json").write_text(json.dumps(document))
    shown = stranger.hermetic("policy", "release", "show", tmp_path / "release.json")
    assert "does not hold" in shown.stdout
    assert "signed by" not in shown.stdout


@pytest.mark.parametrize(
    ("command", "text"),
    [("sign", "not toml at all"), ("sign", 'name = "x"\n'), ("cosign", "{}"), ("show", "{}"), ("show", "not json")],
)
def test_what_is_no_release(stranger: Home, tmp_path: Path, command: str, text: str) -> None:
    signing_key(stranger, tmp_path / "owner.key")
    (tmp_path / "file").write_text(text)
    key = () if command == "show" else ("--key", tmp_path / "owner.key")
    done = stranger.hermetic("policy", "release", command, tmp_path / "file", *key)
    assert done.returncode == 1
    assert done.stdout == ""
    assert str(tmp_path / "file") in done.stderr


def test_a_policy_for_platforms_alone_is_linted_too(stranger: Home, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('version = 1\nprofile = "production"\n[nvidia]\ngpus = 1\n')
    assert findings(stranger, policy) == (1, {"device_floor_missing", "pins_no_modes"})


@needs_vectors
def test_from_recorded_evidence_alone(stranger: Home, tmp_path: Path) -> None:
    """A policy for platforms, whatever runs there; it accepts what it was made from, at that time."""
    folder = intel_support.RECORDED / "tdx" / "v4-00806f050000-go-tdx-guest-00b252"
    files = (folder / "quote.bin", folder / "collateral-2025-11-04-UpToDate.json")
    when = ("--at", "2025-11-04T20:45:20Z")
    written = stranger.hermetic("policy", "new", "--evidence", files[0], "--evidence", files[1], *when)
    assert written.returncode == 0, written.stderr
    assert "[workload]" not in written.stdout
    policy = tmp_path / "platforms.toml"
    policy.write_text(written.stdout)
    asked = ("--offline", "--policy", policy, "--report-data", "00" * 64, "--json")
    verified = stranger.hermetic("evidence", "verify", *files, *when, *asked)
    assert json.loads(verified.stdout)["verdict"] == "accepted"
    neither = stranger.hermetic("policy", "new")
    assert (neither.returncode, "--launch" in neither.stderr) == (2, True)
