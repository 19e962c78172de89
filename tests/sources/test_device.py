"""Both ends of the simulated device."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence import SEV_SNP, EvidenceBundle, SnpReport
from hermetic.identity import LaunchDocument
from hermetic.sources.simulator.answering import answer
from hermetic.sources.simulator.device import OPTION, SimulatedDevice
from hermetic.sources.simulator.handover import MESSAGE_LIMIT, Handover, fits, socket_pair
from hermetic.verify import verify
from hermetic.wire import canonical, parse_object, sha256_digest
from snp_support import HOST_DATA, NOW, issue, roots, simulated

_HANDOVER = Handover(
    launch=LaunchDocument(
        service="s",
        program_digest=sha256_digest(b"program"),
        argv=("hermetic", "serve"),
        environment={},
        config_digest=sha256_digest(b"config"),
        models=(),
        broker_key=None,
        outbound={},
    ),
    config=b"config",
    folder=Path("/somewhere"),
)


class _Source:
    tee = SEV_SNP

    def collect(self, report_data: bytes) -> EvidenceBundle:
        if report_data == bytes(64):
            raise Unavailable("the vendor is away")
        return issue(report_data=report_data)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    platform, child = socket_pair()
    with platform, child:
        yield platform, child


@contextmanager
def _answered(handover: Handover) -> Iterator[SimulatedDevice]:
    platform, child = socket_pair()
    thread = threading.Thread(target=answer, args=(platform,), kwargs={"source": _Source(), "handover": handover})
    thread.start()
    device = SimulatedDevice(child)
    yield device
    device.close()
    thread.join(10)
    assert not thread.is_alive(), "the platform stops answering when the child is gone"
    platform.close()


@pytest.fixture
def device() -> Iterator[SimulatedDevice]:
    with _answered(_HANDOVER) as device:
        yield device


def test_evidence_is_over_the_report_data_that_was_asked_for(device: SimulatedDevice) -> None:
    report_data = os.urandom(64)
    bundle = device.collect(report_data)
    verify(bundle, roots=roots(simulated()), now=NOW, report_data=report_data)
    assert SnpReport.from_bytes(bundle.evidence).host_data == HOST_DATA
    assert device.tee == bundle.tee


def test_threads_share_it_and_get_their_own_answers(device: SimulatedDevice) -> None:
    wanted = [os.urandom(64) for _ in range(32)]
    with ThreadPoolExecutor(8) as pool:
        bundles = pool.map(device.collect, wanted)
        assert [SnpReport.from_bytes(bundle.evidence).report_data for bundle in bundles] == wanted


def test_the_handover_is_what_the_platform_gave(device: SimulatedDevice) -> None:
    assert device.handover() == _HANDOVER


def test_a_refusal_of_the_platform_is_told_and_the_device_lives_on(device: SimulatedDevice) -> None:
    with pytest.raises(Unavailable, match="the vendor is away") as refusal:
        device.collect(bytes(64))
    assert refusal.value.code == "device_refused"
    assert device.handover() == _HANDOVER


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_only_64_bytes_are_signed(device: SimulatedDevice, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        device.collect(bytes(length))


# ---- a child that misbehaves: the platform's end decides for itself


def _ask(packet: bytes) -> dict[str, Any]:
    platform, child = socket_pair()
    with platform, child:
        child.send(packet)
        child.shutdown(socket.SHUT_WR)
        answer(platform, source=_Source(), handover=_HANDOVER)
        return parse_object(child.recv(MESSAGE_LIMIT))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"op": "evidence"},
        {"op": "evidence", "report_data": "AAAA"},
        {"op": "evidence", "report_data": 1},
        {"op": "evidence", "report_data": "A" * 86 + "==", "host_data": "AAAA"},
        {"op": "launch", "config": "x"},
        {"op": "sign", "report_data": "A" * 86 + "=="},
        {"op": ["evidence"]},
    ],
)
def test_a_request_that_is_not_understood_gets_an_error(request_: dict[str, Any]) -> None:
    reply = _ask(canonical({"id": 1, **request_}))
    assert reply["id"] == 1
    assert set(reply) == {"id", "error"}


@given(packet=st.binary(min_size=1, max_size=100))
def test_arbitrary_bytes_get_an_error(packet: bytes) -> None:
    assert "result" not in _ask(packet)


def test_an_over_long_request_gets_an_error() -> None:
    assert "larger than" in _ask(b"{" + b" " * MESSAGE_LIMIT + b"}")["error"]


# ---- a platform that misbehaves: the child's end refuses


def _device_hearing(*packets: bytes, timeout: float = 10.0) -> SimulatedDevice:
    platform, child = socket_pair()
    for packet in packets:
        platform.send(packet)
    platform.detach()  # stays open until the process ends: nobody answers any more
    return SimulatedDevice(child, timeout=timeout)


def test_a_platform_that_is_gone(ends: tuple[socket.socket, socket.socket]) -> None:
    platform, child = ends
    platform.close()
    with pytest.raises(Unavailable, match="does not answer"):
        SimulatedDevice(child).handover()


def test_a_platform_that_closes_while_it_is_asked(ends: tuple[socket.socket, socket.socket]) -> None:
    platform, child = ends
    platform.shutdown(socket.SHUT_WR)
    with pytest.raises(Unavailable, match="closed the descriptor"):
        SimulatedDevice(child).handover()


def test_silence_ends() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        _device_hearing(timeout=0.05).handover()


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    stale = canonical({"id": 1, "result": issue().to_json()})
    fresh = canonical({"id": 2, "result": _HANDOVER.to_json()})
    device = _device_hearing(timeout=0.05)
    with pytest.raises(Unavailable):
        device.collect(os.urandom(64))
    device = _device_hearing(stale, fresh)
    device._last_id = 1
    assert device.handover() == _HANDOVER


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"?", "not JSON"),
        (b'{"id": 1}', "neither a result nor an error"),
        (b'{"id": 1, "result": []}', "neither a result nor an error"),
        (b'{"id": 1, "result": {}}', "handover"),
        (canonical({"id": 1, "result": {**_HANDOVER.to_json(), "more": 1}}), "handover"),
        (canonical({"id": 1, "result": {**_HANDOVER.to_json(), "folder": "relative"}}), "absolute folder"),
        (canonical({"id": 1, "result": {**_HANDOVER.to_json(), "config": "?"}}), "config"),
    ],
)
def test_a_malformed_answer_is_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        _device_hearing(packet).handover()


def test_the_limit_of_a_handover_is_known_beforehand() -> None:
    def of(size: int) -> Handover:
        return Handover(launch=_HANDOVER.launch, config=bytes(size), folder=_HANDOVER.folder)

    largest = max(size for size in range(90_000, 100_000, 16) if fits(of(size)))
    assert not fits(of(largest + 16))
    with _answered(of(largest)) as device:
        assert device.handover() == of(largest), "what fits does pass through the kernel's buffers"


# ---- inheriting


def _start(option: str, *, stdin: int = subprocess.DEVNULL) -> str:
    code = (
        "from hermetic.errors import HermeticError\n"
        "from hermetic.sources.simulator.device import inherited_device\n"
        "try: print('none' if inherited_device() is None else 'device')\n"
        "except HermeticError as error: print(error.message)"
    )
    words = [sys.executable, *(("-X", option) if option else ()), "-c", code]
    return subprocess.run(words, stdin=stdin, capture_output=True, text=True, check=True).stdout.strip()


def test_a_process_that_was_launched_by_nobody_has_no_device() -> None:
    assert _start("") == "none"


@pytest.mark.parametrize("number", ["0", "77", "-1", "x"])
def test_a_descriptor_that_is_no_socket_is_refused(number: str) -> None:
    assert "names no inherited socket" in _start(f"{OPTION}={number}")


def test_an_option_without_a_number_is_refused() -> None:
    assert "names no inherited socket" in _start(OPTION)


def test_another_kind_of_socket_is_refused() -> None:
    one, two = socket.socketpair()
    with one, two:
        assert "not a simulated device" in _start(f"{OPTION}=0", stdin=two.fileno())


def test_the_platforms_socket_is_a_device() -> None:
    one, two = socket_pair()
    with one, two:
        assert _start(f"{OPTION}=0", stdin=two.fileno()) == "device"
