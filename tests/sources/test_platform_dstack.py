"""The collector inside dstack, on an agent that answers over a real Unix socket, dstack's own client too."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import TDX, DstackLog, TdxQuote
from hermetic.sources.dstack import SOCKETS, DstackSource, find_socket
from hermetic.verify import IntelClaims, simulated_root, verify
from quote_support import intel, stapled
from snp_support import NOW
from vectors import ROOT, needs_vectors

from .dstack_agent import APP_ID, COMPOSE_HASH, INSTANCE_ID, VM_CONFIG, Answers, agent, dstack_bundle

_RECORDED = ROOT / "attestation" / "tdx-eventlogs" / "dstack-quote-report.json"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dstack.sock"


def _collected(bundle: Any, report_data: bytes) -> IntelClaims:
    roots = (simulated_root(intel().root_digest),)
    claims = verify(stapled(bundle), roots=roots, now=NOW, report_data=report_data)
    assert isinstance(claims, IntelClaims)
    return claims


@pytest.mark.parametrize("name", ["dstack.sock", "tappd.sock"])
def test_what_is_collected_verifies_and_its_log_names_the_application(tmp_path: Path, name: str) -> None:
    report_data = os.urandom(64)
    with agent(tmp_path / name) as path:
        source = DstackSource(path)
        bundle = source.collect(report_data)
    assert source.tee == bundle.tee == TDX
    assert list(bundle.event_logs) == ["dstack"]
    claims = _collected(bundle, report_data)
    assert claims.events is not None
    assert (claims.events.compose_hash, claims.events.app_id) == (COMPOSE_HASH, APP_ID)


def test_threads_and_objects_get_their_own_quotes(path: Path) -> None:
    wanted = [os.urandom(64) for _ in range(16)]
    with agent(path), ThreadPoolExecutor(8) as pool:
        sources = [DstackSource(path), DstackSource(path)] * 8
        bundles = pool.map(lambda source, data: source.collect(data), sources, wanted)
        found = [TdxQuote.from_bytes(bundle.evidence).body.report_data for bundle in bundles]
    assert found == wanted


def test_what_does_not_fit_into_a_bundle_is_told(path: Path) -> None:
    with agent(path):
        assert DstackSource(path).quote(bytes(64)).vm_config == VM_CONFIG
        info = DstackSource(path).info()
    assert (info.app_name, info.app_id, info.instance_id) == ("tests", APP_ID.hex(), INSTANCE_ID.hex())
    assert info.compose_hash == COMPOSE_HASH.hex()


def test_an_older_agent_says_less(tmp_path: Path) -> None:
    with agent(tmp_path / "tappd.sock", {"/Version": lambda _: (404, b"")}) as path:
        source = DstackSource(path)
        assert source.version() == ""
        assert source.info().app_name == "tests"
        assert source.quote(bytes(64)).vm_config == ""


def test_an_agent_says_its_version(path: Path) -> None:
    with agent(path):
        assert DstackSource(path).version() == "0.5.7"


def test_an_agent_that_fails_to_say_its_version_is_not_an_old_one(path: Path) -> None:
    with agent(path, {"/Version": lambda _: (500, b"")}), pytest.raises(Unavailable, match="status 500"):
        DstackSource(path).version()


# ---- the same agent, asked by dstack's own client


@pytest.mark.interop
def test_dstacks_own_client_gets_the_same_from_this_agent(path: Path) -> None:
    sdk = pytest.importorskip("dstack_sdk", reason="dstack's own client is not installed")
    report_data = os.urandom(64)
    with agent(path):
        client = sdk.DstackClient(str(path))
        answer, info, version = client.get_quote(report_data), client.info(), client.version()
        ours = DstackSource(path)
        bundle = ours.collect(report_data)
        assert version.version == ours.version()
        assert (info.compose_hash, info.app_id) == (ours.info().compose_hash, ours.info().app_id)
    assert TdxQuote.from_bytes(answer.decode_quote()).body == TdxQuote.from_bytes(bundle.evidence).body
    assert answer.event_log.encode() == bundle.event_logs["dstack"]
    rtmr3 = TdxQuote.from_bytes(bundle.evidence).body.rtmrs[3]
    assert answer.replay_rtmrs()[3] == rtmr3.hex(), "by dstack's own arithmetic"


@pytest.mark.interop
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dstacks_older_client_gets_the_same_from_this_agent(tmp_path: Path) -> None:
    sdk = pytest.importorskip("dstack_sdk", reason="dstack's own client is not installed")
    report_data = os.urandom(64)
    with agent(tmp_path / "tappd.sock") as path:
        answer = sdk.TappdClient(str(path)).tdx_quote(report_data, "raw")
        bundle = DstackSource(path).collect(report_data)
    assert TdxQuote.from_bytes(answer.decode_quote()).body == TdxQuote.from_bytes(bundle.evidence).body


@pytest.mark.interop
def test_both_clients_look_in_the_same_places() -> None:
    client = pytest.importorskip("dstack_sdk.dstack_client", reason="dstack's own client is not installed")
    assert client.get_endpoint() == f"/{SOCKETS[0]}"
    assert client.get_tappd_endpoint() == f"/{SOCKETS[4]}"


@needs_vectors
def test_what_a_real_agent_answered_is_read(path: Path) -> None:
    recorded = json.loads(_RECORDED.read_bytes())
    report_data, quote = bytes.fromhex(recorded["report_data"]), bytes.fromhex(recorded["quote"])
    with agent(path, {"/GetQuote": lambda _: (200, _RECORDED.read_bytes())}):
        source = DstackSource(path)
        bundle = source.collect(report_data)
        assert source.quote(report_data).vm_config == recorded["vm_config"]
    assert quote == bundle.evidence + bytes(70), "its host pads quotes"
    log = DstackLog.from_bytes(bundle.event_logs["dstack"])
    assert log.registers()[3] == TdxQuote.from_bytes(bundle.evidence).body.rtmrs[3]


# ---- refusals


def _answering(body: object, status: int = 200) -> Answers:
    return {"/GetQuote": lambda _: (status, body if isinstance(body, bytes) else json.dumps(body).encode())}


def _quote(**changes: object) -> dict[str, object]:
    bundle = dstack_bundle(bytes(64))
    answer: dict[str, object] = {"quote": bundle.evidence.hex(), "event_log": bundle.event_logs["dstack"].decode()}
    return {name: value for name, value in {**answer, **changes}.items() if value is not None}


@pytest.mark.parametrize("changes", [{}, {"vm_config": "{}"}], ids=["as it is", "with vm_config"])
def test_the_answer_that_is_changed_below_is_taken(path: Path, changes: dict[str, object]) -> None:
    with agent(path, _answering(_quote(**changes))):
        assert DstackSource(path).collect(bytes(64)).event_logs["dstack"]


def test_a_quote_with_a_prefix_is_taken(path: Path) -> None:
    with agent(path, _answering(_quote(quote="0x" + dstack_bundle(bytes(64)).evidence.hex()))):
        DstackSource(path).collect(bytes(64))


def test_an_empty_log_is_none(path: Path) -> None:
    with agent(path, _answering(_quote(event_log=""))):
        assert dict(DstackSource(path).collect(bytes(64)).event_logs) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quote": None}, "expected a text as quote"),
        ({"quote": 7}, "expected a text as quote"),
        ({"quote": "zz"}, "dstack quote: expected lowercase hex"),
        ({"quote": "00"}, "a header is 48 bytes"),
        ({"event_log": None}, "expected a text as event_log"),
        ({"event_log": []}, "expected a text as event_log"),
        ({"vm_config": {}}, "expected a text as vm_config"),
    ],
    ids=["no quote", "a number", "no hex", "short", "no log", "log as a list", "config as an object"],
)
def test_an_answer_of_another_shape_is_refused(path: Path, changes: dict[str, object], message: str) -> None:
    with agent(path, _answering(_quote(**changes))), pytest.raises(Malformed, match=message):
        DstackSource(path).collect(bytes(64))


@pytest.mark.parametrize("body", [b"", b"[]", b"quote", b'{"quote": "", "quote": ""}'])
def test_an_answer_that_is_no_object_is_refused(path: Path, body: bytes) -> None:
    with agent(path, _answering(body)), pytest.raises(Malformed, match="the dstack agent's answer"):
        DstackSource(path).collect(bytes(64))


def test_a_quote_over_other_report_data_is_refused(path: Path) -> None:
    with agent(path, _answering(_quote())), pytest.raises(Unavailable, match="other report data"):
        DstackSource(path).collect(b"\1" * 64)


@pytest.mark.parametrize("status", [400, 500, 302, 204])
def test_an_error_of_the_agent_is_told(path: Path, status: int) -> None:
    answers = _answering(_quote() if status != 204 else b"", status)
    told = pytest.raises(Unavailable, match=f"/GetQuote with status {status}")
    with agent(path, answers), told as refusal:
        DstackSource(path).collect(bytes(64))
    assert refusal.value.code == "dstack_refused"


def test_an_error_of_an_older_agent_comes_with_status_200(path: Path) -> None:
    with agent(path, _answering(_quote(error="no"))), pytest.raises(Unavailable, match="with an error") as refusal:
        DstackSource(path).collect(bytes(64))
    assert refusal.value.code == "dstack_refused"


def test_an_answer_without_end_is_not_read(path: Path) -> None:
    answer = _quote(more="x" * 4 * 1024 * 1024)
    with agent(path, _answering(answer)), pytest.raises(Malformed, match="larger than 4194304"):
        DstackSource(path).collect(bytes(64))


def test_an_agent_that_hangs_is_given_up_on(path: Path) -> None:
    let_go = threading.Event()

    def hang(_: dict[str, Any]) -> tuple[int, bytes]:
        let_go.wait(30)
        return 200, b"{}"

    with agent(path, {"/GetQuote": hang}):
        with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s|ReadTimeout"):
            DstackSource(path, timeout=0.05).collect(bytes(64))
        let_go.set()


def test_a_machine_without_the_socket_is_told_to_mount_it(path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer: ConnectError") as refusal:
        DstackSource(path).collect(bytes(64))
    assert "dstack.sock" in refusal.value.fix


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(path: Path, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        DstackSource(path).collect(bytes(length))


@pytest.mark.parametrize("name", SOCKETS)
def test_a_socket_is_found_wherever_agents_have_listened(tmp_path: Path, name: str) -> None:
    assert find_socket(tmp_path) is None
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    assert find_socket(tmp_path) == tmp_path / name
