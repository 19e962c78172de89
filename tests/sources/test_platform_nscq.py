"""The collector of NVSwitches, on NVIDIA's library with recorded devices behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.sources.nscq import NscqSwitches
from nvidia_driver import compile_library, needs_compiler, needs_vectors, record
from nvidia_support import IN_2024, SWITCH, recorded, verified

pytestmark = needs_vectors

_NONCE = bytes(range(32))


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library("nscq_library.c", tmp_path_factory.mktemp("driver") / "libnvidia-nscq.so.2")


Make = Callable[[int], tuple[NscqSwitches, bytes]]


@pytest.fixture
def switches(
    driver: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[int], tuple[NscqSwitches, bytes]]:
    """NSCQ with that many recorded switches, and the nonce that they answer."""
    monkeypatch.setenv("RECORDED", str(tmp_path))

    def make(count: int) -> tuple[NscqSwitches, bytes]:
        nonce = record(tmp_path, switches=count)
        return NscqSwitches(str(driver)), nonce

    return make


@needs_compiler
@pytest.mark.parametrize("count", [1, 4])
def test_every_switch_is_collected_and_verifies(switches: Make, count: int) -> None:
    source, nonce = switches(count)
    devices = source.collect(nonce)
    assert [device.evidence for device in devices] == [recorded(SWITCH).evidence] * count
    verified(devices[0], IN_2024, nonce=nonce)


@needs_compiler
def test_switches_come_in_the_order_of_their_names(switches: Make, tmp_path: Path) -> None:
    source, nonce = switches(2)
    changed = bytearray(recorded(SWITCH).evidence)
    changed[-1] ^= 1
    (tmp_path / "switch-1.report").write_bytes(changed)  # answers last, and its UUID is the lower
    assert [device.evidence[-1] for device in source.collect(nonce)] == [changed[-1], recorded(SWITCH).evidence[-1]]


@needs_compiler
@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("NSCQ_CREATE", "-7", "a session failed with -7"),
        ("NSCQ_INPUT", "-5", "the nonce failed with -5"),
        ("NSCQ_OBSERVE", "1", "an answer failed with -5"),
        ("NSCQ_DEVICE", "-8", "a switch's answer failed with -8"),
    ],
    ids=["session", "nonce", "path", "device"],
)
def test_an_error_of_the_library_is_told(
    switches: Make, monkeypatch: pytest.MonkeyPatch, knob: str, value: str, message: str
) -> None:
    source, nonce = switches(1)
    source.collect(nonce)
    monkeypatch.setenv(knob, value)
    with pytest.raises(Unavailable, match=message):
        source.collect(nonce)


@needs_compiler
def test_a_warning_of_the_library_is_none_of_ours(switches: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    source, nonce = switches(1)
    monkeypatch.setenv("NSCQ_CREATE", "1")
    assert len(source.collect(nonce)) == 1


@needs_compiler
def test_a_machine_without_switches_is_told(switches: Make) -> None:
    source, _ = switches(0)
    with pytest.raises(Unavailable, match="0 switches report and 0 have certificates"):
        source.collect(_NONCE)


@needs_compiler
def test_a_switch_without_certificates_is_not_left_out(switches: Make, tmp_path: Path) -> None:
    source, nonce = switches(2)
    (tmp_path / "switch-1.chain").unlink()
    with pytest.raises(Unavailable, match="2 switches report and 1 have certificates"):
        source.collect(nonce)


@needs_compiler
@pytest.mark.parametrize(("names", "count"), [("1", 1), ("2", 0)], ids=["one name for two", "no name"])
def test_a_switch_whose_answer_has_no_name_of_its_own_is_not_lost(
    switches: Make, monkeypatch: pytest.MonkeyPatch, names: str, count: int
) -> None:
    source, nonce = switches(2)
    assert len(source.collect(nonce)) == 2
    monkeypatch.setenv("NSCQ_NAMES", names)
    with pytest.raises(Unavailable, match=f"2 answers, and only {count} by the name"):
        source.collect(nonce)


@needs_compiler
def test_a_switch_that_answers_another_nonce_is_refused(switches: Make) -> None:
    source, _ = switches(1)
    with pytest.raises(Unavailable, match="another nonce") as refusal:
        source.collect(_NONCE)
    assert refusal.value.code == "device_disturbed"


def test_a_machine_without_the_library_is_told_what_to_install() -> None:
    with pytest.raises(Unavailable, match=r"libnvidia-absent\.so\.2, which is not installed") as refusal:
        NscqSwitches("libnvidia-absent.so.2").collect(_NONCE)
    assert "libnvidia-nscq" in refusal.value.fix


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_switchs_nonce_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed, match="expected 32 bytes"):
        NscqSwitches("libnvidia-absent.so.2").collect(bytes(length))
