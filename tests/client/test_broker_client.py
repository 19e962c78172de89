"""The workload's client: a fake broker, a changed answer, a lying log are refused, each for its own reason."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker_support import OTHER, RESOURCE, House, Running, Workload, canary_forms
from hermetic.broker import load_config
from hermetic.broker.premises import open_premises
from hermetic.channel.hpke import seal_to
from hermetic.client.broker import BrokerClient, Released
from hermetic.errors import (
    ChannelBroken,
    HermeticError,
    Malformed,
    Misconfigured,
    NotAuthentic,
    NotReleased,
    Unavailable,
)
from hermetic.identity import format_ed25519
from hermetic.ledger import FolderDisk, Log, NoteSigner, VerifierKey, leaf_commitment, verify_logged
from hermetic.ledger.envelope import Inclusion
from hermetic.release import BrokerInfo, Challenge, Decision, Terms, open_signed, sign
from hermetic.wire import Digest, b64encode, canonical, sha256_digest

Change = Callable[[str, dict[str, Any]], object]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("client"), names=(RESOURCE, OTHER))


@pytest.fixture(scope="module")
def identity(house: House) -> Ed25519PrivateKey:
    """The broker's own private key: for a broker that is genuine and dishonest."""
    with open_premises(load_config(house.config_path)) as premises:
        return premises.key


@pytest.fixture(scope="module")
def running(house: House, identity: Ed25519PrivateKey) -> Iterator[Running]:
    with house.serving() as broker:
        yield broker


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A plain HTTP server on a real socket."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def meddler(target: str, change: Change) -> Iterator[str]:
    """Stands between client and broker and changes the JSON of each 200 as ``change(path, answer)`` says."""
    upstream = httpx2.Client(base_url=target, trust_env=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass(upstream.get(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            self._pass(upstream.post(self.path, content=body))

        def _pass(self, answer: httpx2.Response) -> None:
            content = answer.content
            if answer.status_code == 200:
                changed = change(self.path, answer.json())
                content = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
            self.send_response(answer.status_code)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    with upstream, serving(Handler) as url:
        yield url


def _ask(url: str, house: House, *, workload: Workload | None = None, **options: Any) -> Released:
    workload = workload or house.workload()
    with BrokerClient(url, **({"broker_key": house.made.broker_key} | options)) as client:
        return client.release(workload.attester, [house.sealed[RESOURCE].want()], release_key=workload.release_key)


def _refused(running: Running, change: Change, kind: type[HermeticError], code: str) -> None:
    with meddler(running.url, change) as url, pytest.raises(kind) as refused:
        _ask(url, running.house)
    assert refused.value.code == code


def _release(change: Callable[[dict[str, Any]], object]) -> Change:
    """A change to the answer of a release only."""
    return lambda path, answer: change(answer) if path == "/v1/release" else answer


def _decision(identity: Ed25519PrivateKey, answer: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The answer with another decision, properly signed by the broker."""
    fields = {name: value for name, value in answer["receipt"]["document"].items() if name != "type"}
    return answer | {"receipt": sign(msgspec.convert(fields | changes, Decision), identity)}


# --- an honest broker -------------------------------------------------------------------------------------------------


def test_an_unchanged_answer_passes_through(running: Running) -> None:
    with meddler(running.url, lambda _, answer: answer) as url:
        released = _ask(url, running.house)
    assert [key.secret for key in released.file_keys[0]] == [
        key.secret for key in running.house.sealed[RESOURCE].file_keys
    ]


def test_the_receipt_proves_itself_and_holds_no_key(running: Running) -> None:
    released = _ask(running.url, running.house)
    receipt = json.loads(json.dumps(dict(released.receipt)))
    verify_logged(
        canonical(receipt["receipt"]),
        salt=bytes.fromhex(receipt["salt"]),
        inclusion=Inclusion(
            index=receipt["index"],
            proof=tuple(bytes.fromhex(step) for step in receipt["inclusion"]),
            note=receipt["checkpoint"].encode(),
        ),
        log_key=VerifierKey.parse(running.house.made.log_key),
    )
    decision = open_signed(receipt["receipt"], Decision, broker_key=running.broker_key)
    assert decision == released.decision
    shown = json.dumps(receipt) + repr(released)
    for key in running.house.sealed[RESOURCE].file_keys:
        assert not [form for form in canary_forms(key.secret) if form.decode("latin-1") in shown]


def test_the_log_key_can_be_pinned_too(running: Running) -> None:
    assert _ask(running.url, running.house, log_key=running.house.made.log_key)
    other = str(NoteSigner.from_seed("log.clinic.example/broker", os.urandom(32)).verifier)
    with pytest.raises(NotAuthentic) as refused:
        _ask(running.url, running.house, log_key=other)
    assert refused.value.code == "log_key"


def test_what_was_seen_of_the_log_is_carried_on(running: Running) -> None:
    workload = running.house.workload()
    want = running.house.sealed[RESOURCE].want()
    with BrokerClient(running.url, broker_key=running.broker_key) as client:
        assert client.seen is None
        client.release(workload.attester, [want], release_key=workload.release_key)
        seen = client.seen
        assert seen is not None
        client.release(workload.attester, [want], release_key=workload.release_key)
        assert client.seen is not None
        assert client.seen.newest.size > seen.newest.size
        newest = client.seen
    with BrokerClient(running.url, broker_key=running.broker_key, seen=newest) as client:
        client.append([os.urandom(32)], signer=workload.signer)
        assert client.seen is not None
        assert client.seen.newest.size > newest.newest.size


# --- a broker that is not the pinned one ------------------------------------------------------------------------------


def test_a_fake_broker_gets_no_evidence(tmp_path: Path, running: Running) -> None:
    """Another broker with everything in order, but its own key: refused at the challenge."""
    fake = House(tmp_path)
    asked: list[str] = []

    def watch(path: str, answer: dict[str, Any]) -> dict[str, Any]:
        asked.append(path)
        return answer

    with fake.serving() as other, meddler(other.url, watch) as url, pytest.raises(NotAuthentic) as refused:
        _ask(url, running.house)
    assert refused.value.code == "broker_signature"
    assert asked == ["/v1/challenge"]


@pytest.mark.parametrize("path", ["/v1/challenge", "/v1/release", "/v1/info"])
def test_a_document_signed_by_another_key_is_refused(running: Running, path: str) -> None:
    kinds: dict[str, Any] = {"/v1/challenge": Challenge, "/v1/release": Decision, "/v1/info": BrokerInfo}
    stranger = Ed25519PrivateKey.generate()

    def change(asked: str, answer: dict[str, Any]) -> dict[str, Any]:
        if asked != path:
            return answer
        signed = answer["receipt"] if path == "/v1/release" else answer
        fields = {name: value for name, value in signed["document"].items() if name != "type"}
        forged = sign(msgspec.convert(fields, kinds[path]), stranger)
        return answer | {"receipt": forged} if path == "/v1/release" else forged

    _refused(running, change, NotAuthentic, "broker_signature")


def test_a_document_of_another_type_is_refused(running: Running) -> None:
    """A signed broker-info is no challenge, whoever signed it."""

    def change(path: str, answer: dict[str, Any]) -> object:
        return running.http.get("/v1/info").json() if path == "/v1/challenge" else answer

    _refused(running, change, Malformed, "malformed")


@pytest.mark.parametrize("path", ["/v1/challenge", "/v1/info"])
def test_a_document_that_names_another_broker_is_refused(
    running: Running, identity: Ed25519PrivateKey, path: str
) -> None:
    kinds: dict[str, Any] = {"/v1/challenge": Challenge, "/v1/info": BrokerInfo}

    def change(asked: str, answer: dict[str, Any]) -> object:
        if asked != path:
            return answer
        fields = {name: value for name, value in answer["document"].items() if name != "type"}
        fields["broker_key"] = format_ed25519(os.urandom(32))
        return sign(msgspec.convert(fields, kinds[path]), identity)

    _refused(running, change, NotAuthentic, "broker_key")


# --- a decision about something else ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"challenge_id": "00" * 16},
        {"keyset_digest": sha256_digest(b"other")},
        {"launch_digest": sha256_digest(b"other")},
        {"report_digest": sha256_digest(b"other")},
        {"outcome": "denied"},
        {"wants": ()},
    ],
)
def test_a_decision_about_another_exchange_is_refused(
    running: Running, identity: Ed25519PrivateKey, changes: dict[str, Any]
) -> None:
    _refused(running, _release(lambda answer: _decision(identity, answer, **changes)), NotAuthentic, "decision")


def test_an_answer_to_somebody_else_is_refused(running: Running) -> None:
    """Genuine in every part, and not ours."""
    other = running.post(running.request(running.house.workload())).json()
    _refused(running, _release(lambda _: other), NotAuthentic, "decision")


# --- the log ----------------------------------------------------------------------------------------------------------


def test_a_decision_that_is_not_in_the_log_is_refused(running: Running, identity: Ed25519PrivateKey) -> None:
    """Properly signed, never logged: a broker that hides what it does."""
    _refused(
        running, _release(lambda answer: _decision(identity, answer, code="hidden")), NotAuthentic, "inclusion_proof"
    )


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("salt", "00" * 32, NotAuthentic),
        ("salt", "00" * 31, Malformed),
        ("index", 0, NotAuthentic),
        ("index", 2**40, NotAuthentic),
        ("index", -1, Malformed),
        ("inclusion", [], NotAuthentic),
        ("inclusion", ["00" * 32] * 129, Malformed),
        ("checkpoint", "", Malformed),
        ("checkpoint", "log.clinic.example/broker\n1\nAAAA\n\n", Malformed),
    ],
)
def test_a_proof_that_does_not_hold_is_refused(
    running: Running, field: str, value: object, kind: type[HermeticError]
) -> None:
    with (
        meddler(running.url, _release(lambda answer: answer | {field: value})) as url,
        pytest.raises(kind),
    ):
        _ask(url, running.house)


def test_a_checkpoint_of_another_log_is_refused(running: Running, tmp_path: Path) -> None:
    signer = NoteSigner.from_seed("log.clinic.example/broker", os.urandom(32))

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        leaf = leaf_commitment(bytes.fromhex(answer["salt"]), canonical(answer["receipt"]))
        with Log.create(FolderDisk(tmp_path / "log"), signer=signer) as log:
            head = log.append([leaf]).checkpoint
        return answer | {"index": 0, "inclusion": [], "checkpoint": head.note.decode()}

    _refused(running, _release(change), NotAuthentic, "note_signature")


def test_a_checkpoint_that_is_not_shown_to_continue_the_last_is_refused(running: Running) -> None:
    workload, want = running.house.workload(), running.house.sealed[RESOURCE].want()
    with (
        meddler(running.url, _release(lambda answer: answer | {"consistency": answer["consistency"][:-1]})) as url,
        BrokerClient(url, broker_key=running.broker_key) as client,
    ):
        # The first checkpoint ever seen has nothing to continue.
        client.release(workload.attester, [want], release_key=workload.release_key)
        with pytest.raises(NotAuthentic) as refused:
            client.release(workload.attester, [want], release_key=workload.release_key)
    assert refused.value.code == "log_fork"


def test_a_log_that_was_put_back_is_refused(tmp_path: Path) -> None:
    """The operator restores yesterday's whole data folder: the workload saw today's log."""
    house = House(tmp_path)
    workload, want = house.workload(), house.sealed[RESOURCE].want()
    with house.serving() as running, BrokerClient(running.url, broker_key=running.broker_key) as client:
        client.release(workload.attester, [want], release_key=workload.release_key)
    shutil.copytree(house.folder / "data", house.folder / "yesterday")
    with (
        house.serving() as running,
        BrokerClient(running.url, broker_key=running.broker_key, seen=client.seen) as client,
    ):
        client.append([os.urandom(32) for _ in range(8)], signer=workload.signer)
    shutil.rmtree(house.folder / "data")
    shutil.move(house.folder / "yesterday", house.folder / "data")
    with (
        house.serving() as running,
        BrokerClient(running.url, broker_key=running.broker_key, seen=client.seen) as client,
        pytest.raises(NotAuthentic) as refused,
    ):
        client.release(workload.attester, [want], release_key=workload.release_key)
    assert refused.value.code == "log_rollback"


# --- the box ----------------------------------------------------------------------------------------------------------


def test_another_box_is_refused(running: Running) -> None:
    """HPKE says nothing about who sealed: the signed digest does."""
    box = b64encode(os.urandom(1300))
    _refused(running, _release(lambda answer: answer | {"box": box}), NotAuthentic, "box_digest")


@dataclass(frozen=True)
class _Dishonest:
    """A genuine broker that signs for, and logs, a box of its own making."""

    identity: Ed25519PrivateKey
    folder: Path
    house: House
    workload: Workload
    plaintext: bytes

    @property
    def signer(self) -> NoteSigner:
        return NoteSigner.from_seed("log.clinic.example/broker", bytes(32))

    def __call__(self, path: str, answer: dict[str, Any]) -> dict[str, Any]:
        if path == "/v1/info":
            fields = {name: value for name, value in answer["document"].items() if name != "type"}
            fields["log_key"] = str(self.signer.verifier)
            return sign(msgspec.convert(fields, BrokerInfo), self.identity)
        return self._with_own_box(answer) if path == "/v1/release" else answer

    def _with_own_box(self, answer: dict[str, Any]) -> dict[str, Any]:
        document = answer["receipt"]["document"]
        terms = Terms(
            broker_key=document["broker_key"],
            challenge_id=document["challenge_id"],
            decision_id=document["decision_id"],
            keyset_digest=Digest(document["keyset_digest"]),
            launch_digest=Digest(document["launch_digest"]),
            wants=(self.house.sealed[RESOURCE].want(),),
        )
        recipient = self.workload.release_key.public_key()
        box = seal_to(recipient, b"hermetic.release.v1", terms.associated_data(), self.plaintext)
        answer = _decision(self.identity, answer, box_digest=sha256_digest(box)) | {"box": b64encode(box)}
        with Log.create(FolderDisk(self.folder), signer=self.signer) as log:
            leaf = leaf_commitment(bytes.fromhex(answer["salt"]), canonical(answer["receipt"]))
            head = log.append([leaf]).checkpoint
        return answer | {"index": 0, "inclusion": [], "checkpoint": head.note.decode(), "consistency": []}


_KEY = b64encode(bytes(16))


@pytest.mark.parametrize(
    "plaintext",
    [
        canonical({"file_keys": [[_KEY, _KEY]]}),
        canonical({"file_keys": [[_KEY]]}),
        canonical({"file_keys": []}),
        canonical({"file_keys": [[_KEY, _KEY, _KEY]]}),
        canonical({"file_keys": [["AAAA", _KEY]]}),
        canonical({"file_keys": 1}),
        canonical({}),
        b"not json",
    ],
)
def test_keys_that_are_not_those_of_the_headers_are_refused(
    running: Running, identity: Ed25519PrivateKey, tmp_path: Path, plaintext: bytes
) -> None:
    workload = running.house.workload()
    dishonest = _Dishonest(identity, tmp_path / "log", running.house, workload, plaintext)
    with meddler(running.url, dishonest) as url, pytest.raises(ChannelBroken):
        _ask(url, running.house, workload=workload)


def test_the_dishonest_broker_would_pass_with_the_right_keys(
    running: Running, identity: Ed25519PrivateKey, tmp_path: Path
) -> None:
    """The control for the test above: it is refused for its keys and for nothing else."""
    workload = running.house.workload()
    keys = [b64encode(key.secret) for key in running.house.sealed[RESOURCE].file_keys]
    honest = _Dishonest(identity, tmp_path / "log", running.house, workload, canonical({"file_keys": [keys]}))
    with meddler(running.url, honest) as url:
        assert _ask(url, running.house, workload=workload)


def test_a_box_for_other_keys_does_not_open(running: Running) -> None:
    workload, other = running.house.workload(), running.house.workload()
    with BrokerClient(running.url, broker_key=running.broker_key) as client, pytest.raises(ChannelBroken):
        client.release(workload.attester, [running.house.sealed[RESOURCE].want()], release_key=other.release_key)


# --- leaves and plain faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda answer: answer | {"leaves": answer["leaves"][:1]}, Malformed),
        (lambda answer: answer | {"leaves": list(reversed(answer["leaves"]))}, NotAuthentic),
        (lambda answer: answer | {"leaves": [place | {"inclusion": []} for place in answer["leaves"]]}, NotAuthentic),
        (lambda answer: answer | {"checkpoint": ""}, Malformed),
        (lambda answer: answer | {"consistency": []}, NotAuthentic),
        (lambda answer: answer | {"extra": 1}, Malformed),
    ],
)
def test_places_that_are_not_proven_are_refused(
    running: Running, change: Callable[[dict[str, Any]], object], kind: type[HermeticError]
) -> None:
    workload = running.house.workload()

    def meddle(path: str, answer: dict[str, Any]) -> object:
        return change(answer) if path == "/v1/log/leaves" else answer

    with meddler(running.url, meddle) as url, BrokerClient(url, broker_key=running.broker_key) as client:
        client.release(workload.attester, [running.house.sealed[RESOURCE].want()], release_key=workload.release_key)
        with pytest.raises(kind):
            client.append([os.urandom(32), os.urandom(32)], signer=workload.signer)


def test_an_answer_without_end_is_cut() -> None:
    sent, chunk, most = [0], b" " * 65536, 64 * 1024 * 1024

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while sent[0] < most:
                    sent[0] += self.wfile.write(chunk)

        def log_message(self, format: str, *args: object) -> None:
            return

    with (
        serving(Endless) as url,
        BrokerClient(url, broker_key="x") as client,
        pytest.raises(Malformed, match="more than"),
    ):
        client.info()
    assert sent[0] < most


@pytest.mark.parametrize("junk", [b"", b"[]", b"null", b"{}", b"<html>"])
def test_an_answer_that_is_no_document_is_refused(running: Running, junk: bytes) -> None:
    _refused(running, lambda _, __: junk, Malformed, "malformed")


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable) as refused, BrokerClient("http://127.0.0.1:9", broker_key="x") as client:
        client.info()
    assert refused.value.code == "broker_unreachable"


@pytest.mark.parametrize("url", ["", "broker:8443", "ftp://broker", "unix:///run/broker"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        BrokerClient(url, broker_key="x")


def test_a_redirect_is_not_followed(running: Running) -> None:
    """Whoever answers for this address answers here, even if the pinned broker is where it points."""

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("location", running.url + self.path)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with (
        serving(Redirect) as url,
        BrokerClient(url, broker_key=running.broker_key) as client,
        pytest.raises(Unavailable, match="307"),
    ):
        client.info()


def test_a_broker_under_pressure_is_unavailable_not_a_refusal(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.limits |= {"requests_per_second": 0.001, "burst": 1}
    house.write_config()
    with house.serving() as running:
        running.http.post("/v1/challenge")
        with pytest.raises(Unavailable) as refused:
            _ask(running.url, house)
    assert refused.value.code == "rate_limited"


def test_a_used_challenge_is_told_as_such(running: Running) -> None:
    kept: dict[str, dict[str, Any]] = {}

    def same_challenge(path: str, answer: dict[str, Any]) -> object:
        return kept.setdefault("challenge", answer) if path == "/v1/challenge" else answer

    with meddler(running.url, same_challenge) as url:
        _ask(url, running.house)
        with pytest.raises(NotReleased) as refused:
            _ask(url, running.house)
    assert refused.value.code == "challenge"
