"""One request to a device at a time."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from hermetic.errors import Malformed, Unavailable
from hermetic.sources.device_lock import DeviceLock


def test_what_was_asked_is_answered() -> None:
    assert DeviceLock("a device of test 1", timeout=10).ask(lambda: 7) == 7


def test_a_refusal_goes_through_and_the_device_is_free_again() -> None:
    def refuse() -> None:
        raise Malformed("no")

    lock = DeviceLock("a device of test 2", timeout=10)
    with pytest.raises(Malformed):
        lock.ask(refuse)
    assert lock.ask(lambda: 1) == 1


def test_an_error_of_the_system_becomes_unavailable_under_the_devices_name() -> None:
    def fail() -> None:
        raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    with pytest.raises(Unavailable, match="a device of test 3: No such device or address") as refusal:
        DeviceLock("a device of test 3", timeout=10).ask(fail)
    assert refusal.value.fix == ""


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM], ids=["EACCES", "EPERM"])
def test_a_lack_of_rights_is_told_with_what_to_do(number: int) -> None:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(Unavailable) as refusal:
        DeviceLock("a device of test 4", timeout=10).ask(fail)
    assert "root" in refusal.value.fix


def test_an_error_without_words_is_told_by_its_kind() -> None:
    def fail() -> None:
        raise TimeoutError

    with pytest.raises(Unavailable, match="TimeoutError"):
        DeviceLock("a device of test 5", timeout=10).ask(fail)


def test_a_device_that_hangs_is_given_up_on_and_stays_taken_until_it_lets_go() -> None:
    let_go = threading.Event()
    hasty, patient = DeviceLock("a device of test 6", timeout=0.02), DeviceLock("a device of test 6", timeout=30)
    with pytest.raises(Unavailable, match=r"did not answer within 0\.02 s") as refusal:
        hasty.ask(lambda: let_go.wait(30))
    assert refusal.value.code == "device_timeout"
    with pytest.raises(Unavailable, match=r"an earlier request has held it for 0\.02 s") as refusal:
        hasty.ask(lambda: pytest.fail("asked while it was taken"))
    assert refusal.value.code == "device_busy"
    let_go.set()
    assert patient.ask(lambda: 1) == 1


def test_a_device_that_nobody_can_be_sent_to_is_free_again() -> None:
    """A stack larger than all that a process can address: the system gives no such thread."""
    lock = DeviceLock("a device of test 9", timeout=0.02)
    before = threading.stack_size(1 << 62)
    try:
        with pytest.raises(Unavailable, match="a device of test 9: no thread can be started") as refusal:
            lock.ask(lambda: pytest.fail("asked"))
    finally:
        threading.stack_size(before)
    assert refusal.value.code == "device_busy"
    assert DeviceLock("a device of test 9", timeout=30).ask(lambda: 1) == 1


def test_devices_of_other_names_do_not_wait_for_one_another() -> None:
    one, two = DeviceLock("a device of test 7", timeout=10), DeviceLock("another device of test 7", timeout=10)
    assert one.ask(lambda: two.ask(lambda: 1)) == 1


def test_objects_of_one_name_are_never_carried_out_together() -> None:
    running: list[int] = []
    together: list[int] = []

    def work() -> None:
        running.append(1)
        together.append(len(running))
        threading.Event().wait(0.001)
        running.pop()

    threads = [
        threading.Thread(target=DeviceLock("a device of test 8", timeout=30).ask, args=(work,)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [1] * 8
