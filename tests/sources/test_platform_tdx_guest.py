"""The collector for ``/dev/tdx_guest``, on a driver and a quote service that treat structures as the real ones do."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_support import mounted, needs_fuse
from event_log_support import CCEL
from hermetic.errors import HermeticError, Malformed, Unavailable
from hermetic.evidence import TDX, TdxQuote
from hermetic.sources.qgs import QuoteService, configured_port, connected, read_quote_answer, write_quote_request
from hermetic.sources.tdx_guest import TdxGuestSource
from quote_support import tdx_bundle, verified

from .guest_kernel import TdxGuest, in_process
from .quote_service import Answer, answer_message, framed, honest, serving

_KERNEL = Path(__file__).with_name("guest_kernel.py")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def device(tmp_path: Path) -> Path:
    path = tmp_path / "tdx_guest"
    path.touch()
    return path


def _source(stack: ExitStack, device: Path, answer: Answer = honest, **options: Any) -> TdxGuestSource:
    service = QuoteService(stack.enter_context(serving(answer)))
    arguments: dict[str, Any] = {"ioctl": in_process(TdxGuest()), "ccel": None} | options
    return TdxGuestSource(device, service=service, **arguments)


@needs_fuse
def test_a_quote_through_a_real_file_and_the_system_call(stack: ExitStack, tmp_path: Path) -> None:
    devices = stack.enter_context(mounted(_KERNEL, tmp_path / "dev"))
    report_data = os.urandom(64)
    service = QuoteService(stack.enter_context(serving()))
    source = TdxGuestSource(devices / "tdx_guest", service=service, ccel=None)
    verified(source.collect(report_data), report_data)
    with pytest.raises(Unavailable, match="Invalid argument"):
        TdxGuestSource(devices / "sev-guest", service=service).collect(bytes(64))


def test_what_is_collected_verifies(stack: ExitStack, device: Path) -> None:
    report_data = os.urandom(64)
    source = _source(stack, device)
    bundle = source.collect(report_data)
    verified(bundle, report_data)
    assert source.tee == bundle.tee == TDX
    assert (dict(bundle.endorsements), dict(bundle.event_logs)) == ({}, {})


def test_the_firmwares_event_log_goes_with_it(stack: ExitStack, device: Path, tmp_path: Path) -> None:
    log = tmp_path / "CCEL"
    log.write_bytes(CCEL + bytes(100))
    assert dict(_source(stack, device, ccel=log).collect(bytes(64)).event_logs) == {"ccel": CCEL}


def test_threads_get_their_own_answers(stack: ExitStack, device: Path) -> None:
    source = _source(stack, device)
    wanted = [os.urandom(64) for _ in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = [TdxQuote.from_bytes(bundle.evidence) for bundle in pool.map(source.collect, wanted)]
    assert [quote.body.report_data for quote in found] == wanted


@pytest.mark.parametrize(
    ("failure", "message"),
    [(errno.EIO, "TDX module refused"), (errno.ENOTTY, "Inappropriate ioctl")],
    ids=["EIO", "ENOTTY"],
)
def test_an_error_of_the_driver_is_told(stack: ExitStack, device: Path, failure: int, message: str) -> None:
    with pytest.raises(Unavailable, match=message):
        _source(stack, device, ioctl=in_process(TdxGuest(failure=failure))).collect(bytes(64))


def test_a_service_that_cannot_be_reached_is_told_apart_from_the_device(device: Path) -> None:
    def connect() -> socket.socket:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    source = TdxGuestSource(device, service=QuoteService(connect), ccel=None, ioctl=in_process(TdxGuest()))
    with pytest.raises(Unavailable, match="quote generation service cannot be reached: No such device") as refusal:
        source.collect(bytes(64))
    assert "vsock" in refusal.value.fix


def test_a_service_that_is_silent_is_given_up_on(device: Path) -> None:
    ours, theirs = socket.socketpair()
    source = TdxGuestSource(
        device, service=QuoteService(lambda: ours), ccel=None, ioctl=in_process(TdxGuest()), timeout=0.05
    )
    with theirs, pytest.raises(Unavailable, match=r"within 0\.05 s"):
        source.collect(bytes(64))


def test_a_quote_over_other_report_data_is_refused(stack: ExitStack, device: Path) -> None:
    def other(message: bytes) -> bytes:
        return framed(answer_message(tdx_bundle(b"\1" * 64).evidence))

    with pytest.raises(Unavailable, match="other report data") as refusal:
        _source(stack, device, other).collect(bytes(64))
    assert refusal.value.code == "device_disturbed"


@pytest.mark.parametrize("length", [0, 63, 65])
def test_report_data_of_another_length_is_refused(stack: ExitStack, device: Path, length: int) -> None:
    with pytest.raises(Malformed, match="expected 64 bytes"):
        _source(stack, device).collect(bytes(length))


def test_a_machine_without_the_device(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        TdxGuestSource(tmp_path / "absent").collect(bytes(64))


# ---- the quote service's messages


@given(report=st.binary(min_size=1, max_size=1024))
def test_a_request_is_what_intels_structure_says(report: bytes) -> None:
    assert write_quote_request(report) == struct.pack("<HHIIIII", 1, 1, 0, 24 + len(report), 0, len(report), 0) + report


@given(quote=st.binary(max_size=300), identifier=st.binary(max_size=40))
def test_an_answer_is_read_back(quote: bytes, identifier: bytes) -> None:
    assert read_quote_answer(answer_message(quote, identifier=identifier)) == quote


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"major": 2}, "expected version 1, type 1, got 2, 1"),
        ({"kind": 0}, "expected version 1, type 1, got 1, 0"),
        ({"more": 1}, "do not add up"),
        ({"more": -1}, "do not add up"),
    ],
    ids=["version", "type", "longer", "shorter"],
)
def test_an_answer_of_another_shape_is_refused(changed: dict[str, Any], message: str) -> None:
    assert read_quote_answer(answer_message(b"quote")) == b"quote"
    with pytest.raises(Malformed, match=message):
        read_quote_answer(answer_message(b"quote", **changed))


def test_an_error_of_the_service_is_told(stack: ExitStack, device: Path) -> None:
    with pytest.raises(Unavailable, match="error 0x12003"):
        read_quote_answer(answer_message(b"", error=0x12003))


@pytest.mark.parametrize("length", [0, 23])
def test_an_answer_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match="ends early"):
        read_quote_answer(answer_message(b"")[:length])


def test_bytes_after_an_answer_are_refused() -> None:
    with pytest.raises(Malformed, match="do not add up"):
        read_quote_answer(answer_message(b"quote") + b"\0")


def test_a_quote_that_states_another_length_is_refused() -> None:
    message = bytearray(answer_message(b"quote"))
    message[20] -= 1
    with pytest.raises(Malformed, match="do not add up"):
        read_quote_answer(bytes(message))


@given(message=st.binary(max_size=200))
def test_arbitrary_answers_are_read_or_refused(message: bytes) -> None:
    with suppress(HermeticError):
        assert read_quote_answer(message) in message


@pytest.mark.parametrize(
    "answer",
    [lambda _: b"", lambda _: b"\0\0", lambda _: b"\0\0\0\x20" + bytes(31)],
    ids=["nothing", "half a length", "half a message"],
)
def test_a_connection_that_closes_early_is_told(stack: ExitStack, answer: Answer) -> None:
    with pytest.raises(Unavailable, match="closed the connection"):
        QuoteService(stack.enter_context(serving(answer))).quote(bytes(1024))


def test_an_answer_without_end_is_not_read(stack: ExitStack) -> None:
    with pytest.raises(Malformed, match="at most 65536 bytes, got 65537"):
        QuoteService(stack.enter_context(serving(lambda _: b"\0\1\0\1"))).quote(bytes(1024))


def test_a_connection_is_made_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "service"))
        listener.listen()
        connection = connected(socket.AF_UNIX, str(tmp_path / "service"), timeout=0.01)
        with connection, pytest.raises(TimeoutError):
            connection.recv(1)


def test_a_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connected(socket.AF_UNIX, str(tmp_path / "absent"), timeout=1)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("port=4051\n", 4051),
        ("# port = 1\n  port = 4052 \nport=4053", 4052),
        ("port = 0\n", 4050),
        ("port = 99999999999\n", 4050),
        ("port = 9999999999\n", 4050),
        ("port = 12 x\n", 4050),
        ("", 4050),
    ],
    ids=["plain", "comment", "zero", "eleven digits", "beyond 32 bits", "trailing", "empty"],
)
def test_the_port_is_the_one_in_intels_file(tmp_path: Path, text: str, port: int) -> None:
    file = tmp_path / "tdx-attest.conf"
    file.write_text(text)
    assert configured_port(file) == port


def test_the_port_without_a_file_that_can_be_read(tmp_path: Path) -> None:
    assert configured_port(tmp_path / "absent") == 4050
    (tmp_path / "binary").write_bytes(b"port=\xff\n")
    assert configured_port(tmp_path / "binary") == 4050
