"""Where a document comes from: what came along, the folder, the cache, the vendor; and when which one counts."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collateral_support import (
    DAY,
    PATIENCE,
    answer,
    anybody_is_in,
    day,
    document,
    publish,
    question,
    unaskable,
    wanted,
)
from collateral_vendor import BUSY, HTML, Reply, Vendor
from hermetic.errors import Malformed, Unavailable
from hermetic.sources.collateral import CollateralUnavailable, Obtained, Origin, Period
from hermetic.sources.collateral.cache import Entry, FolderCache
from hermetic.sources.collateral.fetch import Fetcher
from hermetic.sources.collateral.question import Question
from hermetic.sources.collateral.supply import Supply, Wanted
from hermetic.sources.collateral.timed import Deadline


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        publish(vendor, 0, 10)
        yield vendor


class House:
    """A supply with its cache, opened anew for each look, as by another process."""

    def __init__(self, vendor: Vendor, folder: Path) -> None:
        self.vendor, self.folder = vendor, folder
        self.question = question(vendor.url)

    def supply(self, *, ahead: timedelta = timedelta(0), offline: bool = False) -> Supply:
        fetcher = None if offline else Fetcher(self.vendor.services.origins, patience=PATIENCE)
        return Supply(FolderCache(self.folder), fetcher, folder=None, ahead=ahead)

    def obtain(
        self,
        now: datetime,
        *came: bytes,
        stale: bool = False,
        ahead: timedelta = timedelta(0),
        offline: bool = False,
        supply: Supply | None = None,
    ) -> Obtained:
        supply = supply or self.supply(ahead=ahead, offline=offline)
        asked = (wanted(self.question, *came),)
        (found,) = supply.obtain(asked, now, Deadline(20), allow_stale=stale)
        return found

    @property
    def asked(self) -> int:
        return self.vendor.asked["/document"]


@pytest.fixture
def house(vendor: Vendor, tmp_path: Path) -> House:
    return House(vendor, tmp_path / "cache")


def test_cold_it_is_fetched_and_warm_it_is_not(house: House) -> None:
    cold, warm = house.obtain(day(1)), house.obtain(day(2))
    assert (cold.origin, warm.origin) == (Origin.VENDOR, Origin.CACHE)
    assert cold.parts == warm.parts == {"part": document(0, 10, "the vendor's")}
    assert (warm.fetched_at, warm.stale, warm.reason) == (day(1), False, "")
    assert house.asked == 1


def test_what_came_along_and_holds_is_used(house: House) -> None:
    found = house.obtain(day(1), b"junk", document(0, 5, "older"), document(0, 6, "newer"))
    assert (found.origin, found.parts["part"]) == (Origin.CAME_ALONG, document(0, 6, "newer"))
    assert not house.asked


def test_what_came_along_and_holds_no_longer_is_fetched_again(house: House) -> None:
    assert house.obtain(day(5), document(0, 5)).origin is Origin.VENDOR
    assert house.obtain(day(4), document(0, 5)).origin is Origin.CACHE  # which holds longer


def test_what_expires_is_fetched_again_at_that_moment(house: House, vendor: Vendor) -> None:
    house.obtain(day(9))
    publish(vendor, 9, 20, "renewed")
    assert house.obtain(day(10, -1)).parts["part"] == document(0, 10, "the vendor's")
    assert house.obtain(day(10)).parts["part"] == document(9, 20, "renewed")
    assert house.asked == 2


def test_what_does_not_hold_yet_is_not_used_either(house: House, vendor: Vendor) -> None:
    publish(vendor, 5, 20)
    house.obtain(day(6))
    assert house.obtain(day(4)).stale
    assert house.asked == 2


def test_a_vendors_answer_is_taken_as_it_is_and_said_to_be_outdated(house: House, vendor: Vendor) -> None:
    publish(vendor, 0, 3)
    found = house.obtain(day(5))
    assert (found.origin, found.stale) == (Origin.VENDOR, True)


def test_what_was_answered_just_now_is_not_asked_for_again(house: House, vendor: Vendor) -> None:
    publish(vendor, 0, 3)
    house.obtain(day(5))
    assert house.obtain(day(5, 59)).origin is Origin.CACHE
    assert house.asked == 1
    assert house.obtain(day(5, 60)).origin is Origin.VENDOR
    assert house.asked == 2


def test_stale_is_used_only_where_the_caller_says_so(house: House, vendor: Vendor) -> None:
    house.obtain(day(1))
    vendor.stop()
    with pytest.raises(CollateralUnavailable, match="what is here holds until 2026-01-11 00:00 UTC"):
        house.obtain(day(10))
    found = house.obtain(day(10), stale=True)
    assert (found.origin, found.stale) == (Origin.CACHE, True)
    assert "ConnectError" in found.reason


def test_what_still_holds_is_used_while_the_vendor_is_away(house: House, vendor: Vendor) -> None:
    house.obtain(day(1))
    vendor.published["/document"] = BUSY
    found = house.obtain(day(9), ahead=2 * DAY)
    assert (found.origin, found.stale) == (Origin.CACHE, False)
    assert "429; gave up after 1 attempts" in found.reason


def test_what_is_about_to_expire_is_renewed(house: House, vendor: Vendor) -> None:
    house.obtain(day(7))
    publish(vendor, 8, 20, "renewed")
    assert house.obtain(day(8, -1), ahead=2 * DAY).origin is Origin.CACHE
    assert house.asked == 1
    assert house.obtain(day(8), ahead=2 * DAY).parts["part"] == document(8, 20, "renewed")


def test_a_vendor_that_is_away_is_not_asked_at_every_turn(house: House, vendor: Vendor) -> None:
    house.obtain(day(1))
    vendor.published["/document"] = Reply(status=500)
    supply = house.supply(ahead=2 * DAY)
    for second in (0, 30, 59):
        house.obtain(day(9, second), supply=supply)
    assert house.asked == 2
    house.obtain(day(9, 60), supply=supply)
    assert house.asked == 3


def test_a_failure_keeps_nobody_from_asking_for_what_is_needed(house: House, vendor: Vendor) -> None:
    supply = house.supply()
    vendor.published["/document"] = Reply(status=500)
    with pytest.raises(CollateralUnavailable):
        house.obtain(day(1), document(0, 1), supply=supply)
    publish(vendor, 0, 10)
    assert house.obtain(day(1, 1), document(0, 1), supply=supply).origin is Origin.VENDOR


def test_an_older_answer_does_not_take_the_place_of_a_newer(house: House, vendor: Vendor) -> None:
    house.obtain(day(7, 2))
    publish(vendor, 0, 9, "older")
    assert house.obtain(day(8, 1), ahead=5 * DAY).parts["part"] == document(0, 10, "the vendor's")
    assert house.obtain(day(9, 1), offline=True).parts["part"] == document(0, 10, "the vendor's")


def test_what_was_kept_for_a_day_is_asked_for_again(house: House, vendor: Vendor) -> None:
    house.obtain(day(3))
    for now in (day(4), day(2)):
        assert house.obtain(now).origin is Origin.CACHE
    assert house.obtain(day(4, 1)).origin is Origin.VENDOR
    assert house.obtain(day(3)).origin is Origin.VENDOR  # what a later time had fetched says nothing about this one
    assert house.asked == 3
    vendor.stop()
    assert house.obtain(day(9)).origin is Origin.CACHE


def test_a_forged_answer_stands_for_a_day_at_most(house: House, vendor: Vendor) -> None:
    """It holds for as long as the forger likes, by its own word."""
    publish(vendor, 0, 900, "forged")
    house.obtain(day(1))
    publish(vendor, 0, 10)
    assert house.obtain(day(2)).parts["part"] == document(0, 900, "forged")
    assert house.obtain(day(2, 1)).parts["part"] == document(0, 10, "the vendor's")
    assert house.obtain(day(9), offline=True).parts["part"] == document(0, 10, "the vendor's")


def test_what_came_along_comes_before_what_was_kept_for_days(house: House, vendor: Vendor) -> None:
    publish(vendor, 0, 900, "forged")
    house.obtain(day(1))
    for now, words in ((day(2), "forged"), (day(2, 1), "came along")):
        assert house.obtain(now, document(0, 10, "came along")).parts["part"].endswith(words.encode())


def test_what_is_not_to_be_kept_is_not(house: House, vendor: Vendor) -> None:
    house.obtain(day(1))
    house.question = question(vendor.url, kept=False)
    for _ in range(2):
        assert house.obtain(day(1)).origin is Origin.VENDOR
    assert house.asked == 3
    house.question = question(vendor.url, "/other", kept=False)
    vendor.published["/other"] = Reply(body=document(0, 10))
    house.obtain(day(1))
    assert len(list(house.folder.glob("*.collateral"))) == 1


def test_something_else_names_the_address(house: House, vendor: Vendor) -> None:
    vendor.published["/document"] = Reply(body=b"something else")
    with pytest.raises(Malformed, match=f"{vendor.url}/document answered with something else than a document"):
        house.obtain(day(1))
    assert not list(house.folder.glob("*.collateral"))


@pytest.mark.parametrize("reply", [Reply(body=HTML, content_type="text/html"), Reply(body=b"something else")])
def test_something_else_does_not_spoil_what_is_here(house: House, vendor: Vendor, reply: Reply) -> None:
    house.obtain(day(1))
    vendor.published["/document"] = reply
    assert house.obtain(day(9), ahead=2 * DAY).parts["part"] == document(0, 10, "the vendor's")
    with pytest.raises(Malformed):
        house.obtain(day(10))
    assert house.obtain(day(10), stale=True).stale


def test_a_cache_entry_that_answers_another_question_is_none(house: House, vendor: Vendor) -> None:
    house.obtain(day(1))
    (entry,) = house.folder.glob("*.collateral")
    other = replace(house.question, parts=lambda answer: {"part": b"not this one"})
    with pytest.raises(CollateralUnavailable):
        house.supply(offline=True).obtain((wanted(other),), day(1), Deadline(20), allow_stale=True)
    entry.write_bytes(b"damaged")
    assert house.obtain(day(1)).origin is Origin.VENDOR
    assert house.obtain(day(1), offline=True).origin is Origin.CACHE


def test_offline_nobody_is_asked_and_all_that_is_missing_is_named(house: House, vendor: Vendor) -> None:
    everything = (wanted(house.question), wanted(unaskable("ask the attester")), wanted(question(vendor.url, "/other")))
    with pytest.raises(CollateralUnavailable) as error:
        house.supply(offline=True).obtain(everything, day(1), Deadline(20), allow_stale=True)
    assert [missing.url for missing in error.value.missing] == [f"{vendor.url}/document", "", f"{vendor.url}/other"]
    assert [missing.reason for missing in error.value.missing] == ["offline", "ask the attester", "offline"]
    assert all(missing.url in error.value.message for missing in error.value.missing)
    assert isinstance(error.value, Unavailable)
    assert not vendor.asked


def test_what_no_service_has_is_not_asked_for_online_either(house: House, vendor: Vendor) -> None:
    asked = (wanted(unaskable("ask the attester")),)
    with pytest.raises(CollateralUnavailable, match="ask the attester"):
        house.supply().obtain(asked, day(1), Deadline(20), allow_stale=True)
    came = (wanted(unaskable("ask the attester"), document(0, 2)),)
    (found,) = house.supply(ahead=DAY).obtain(came, day(1), Deadline(20), allow_stale=False)
    assert found.origin is Origin.CAME_ALONG
    assert not vendor.asked


def test_offline_the_cache_is_enough(house: House) -> None:
    house.obtain(day(1))
    assert house.obtain(day(9), offline=True).origin is Origin.CACHE
    with pytest.raises(CollateralUnavailable):
        house.obtain(day(10), offline=True)


def test_all_failures_are_told_together_and_the_rest_is_kept(house: House, vendor: Vendor) -> None:
    everything = tuple(wanted(question(vendor.url, path)) for path in ("/missing", "/document", "/also-missing"))
    with pytest.raises(CollateralUnavailable) as error:
        house.supply().obtain(everything, day(1), Deadline(20), allow_stale=False)
    assert [missing.url.rpartition("/")[2] for missing in error.value.missing] == ["missing", "also-missing"]
    assert house.obtain(day(1), offline=True).origin is Origin.CACHE


def test_several_documents_come_in_the_order_asked(house: House, vendor: Vendor) -> None:
    for name in "abcde":
        vendor.published[f"/{name}"] = Reply(body=document(0, 10, name))
    house.question = question(vendor.url, "/b")
    house.obtain(day(1))
    everything = tuple(wanted(question(vendor.url, f"/{name}")) for name in "abcde")
    found = house.supply().obtain(everything, day(1), Deadline(20), allow_stale=False)
    assert [each.parts["part"].decode()[-1] for each in found] == list("abcde")


def test_many_threads_make_one_request(house: House, vendor: Vendor) -> None:
    supply, found = house.supply(), []
    vendor.gate.clear()

    def want(second: int) -> None:
        found.append(house.obtain(day(1, second), supply=supply).parts["part"])

    threads = [threading.Thread(target=want, args=(second,)) for second in range(16)]
    for thread in threads:
        thread.start()
    vendor.gate.set()
    for thread in threads:
        thread.join()
    assert found == [document(0, 10, "the vendor's")] * 16
    assert house.asked == 1


def test_each_thread_is_told_whether_it_holds_for_itself(house: House, vendor: Vendor) -> None:
    """One answer, wanted for two times."""
    publish(vendor, 0, 3)
    supply = house.supply()
    assert not house.obtain(day(2), supply=supply).stale
    assert house.obtain(day(4), supply=supply).stale


class Asking(threading.Thread):
    """One of several that ask a supply at the same time, and what it got."""

    def __init__(self, supply: Supply, asked: Question, now: datetime, deadline: Deadline) -> None:
        super().__init__()
        self._supply, self._asked, self._now, self._deadline = supply, asked, now, deadline
        self.got: Obtained | Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            (self.got,) = self._supply.obtain((wanted(self._asked),), self._now, self._deadline, allow_stale=False)
        except (Malformed, Unavailable) as error:
            self.got = error

    def result(self) -> Obtained | Exception | None:
        self.join()
        return self.got


def _until(reached: Callable[[], bool]) -> None:
    while not reached():
        pass


def test_what_one_who_asks_makes_of_an_answer_is_not_what_another_does(house: House, vendor: Vendor) -> None:
    """Both ask for one address; the first finds that nothing there is for him."""

    def refuse(part: bytes) -> Period:
        raise Malformed("not for me")

    supply = house.supply()
    vendor.gate.clear()
    first = Asking(supply, replace(house.question, periods={"part": refuse}), day(1), Deadline(20))
    _until(lambda: house.asked == 1)
    second = Asking(supply, house.question, day(1), Deadline(20))
    _until(lambda: anybody_is_in("_outcome"))
    vendor.gate.set()
    assert "not for me" in str(first.result())
    found = second.result()
    assert isinstance(found, Obtained)
    assert (found.origin, house.asked) == (Origin.VENDOR, 1)
    assert not list(house.folder.glob("*.collateral")), "the first had the lock, and nothing worth keeping"


def test_who_has_time_left_does_not_fail_with_who_has_none(house: House, vendor: Vendor) -> None:
    supply = house.supply()
    house.obtain(day(1), supply=supply)  # which opens what later requests only use
    vendor.gate.clear()
    hasty = Asking(supply, question(vendor.url, "/other"), day(1), Deadline(0.5))
    vendor.published["/other"] = Reply(body=document(0, 10))
    _until(lambda: vendor.asked["/other"] == 1)
    patient = Asking(supply, question(vendor.url, "/other"), day(1), Deadline(20))
    assert "too slowly" in str(hasty.result())
    vendor.gate.set()
    found = patient.result()
    assert isinstance(found, Obtained)
    assert found.origin is Origin.VENDOR


def test_what_another_process_fetched_may_be_enough_for_one_thread_and_not_for_another(
    house: House, vendor: Vendor
) -> None:
    request, supply = house.question.request, house.supply()
    assert request is not None
    publish(vendor, 9, 30, "renewed")
    cache = FolderCache(house.folder)
    with cache.lock(request, Deadline(20)):
        first = Asking(supply, house.question, day(1), Deadline(20))
        _until(lambda: anybody_is_in("work"))
        second = Asking(supply, house.question, day(20), Deadline(20))
        _until(lambda: anybody_is_in("_outcome"))
        entry = Entry(answer=answer(document(0, 10, "another's")), fetched_at=day(1))
        cache.store(request, entry, Period(first=day(0), last=day(10)))
    got = first.result(), second.result()
    assert [found.parts["part"][-9:] for found in got if isinstance(found, Obtained)] == [b"another's", b"0 renewed"]
    assert house.asked == 1


_PROCESS = """
import sys
from datetime import timedelta
from pathlib import Path
from collateral_support import PATIENCE, day, question, wanted
from hermetic.sources.collateral.cache import FolderCache
from hermetic.sources.collateral.fetch import Fetcher
from hermetic.sources.collateral.timed import Deadline
from hermetic.sources.collateral.services import origin_of
from hermetic.sources.collateral.supply import Supply
cache, url = FolderCache(Path(sys.argv[1])), sys.argv[2]
supply = Supply(cache, Fetcher(frozenset({origin_of(url)}), patience=PATIENCE), folder=None, ahead=timedelta(0))
print("ready", flush=True)
sys.stdin.readline()
(found,) = supply.obtain((wanted(question(url)),), day(1), Deadline(20), allow_stale=False)
print(found.parts["part"].decode(), flush=True)
"""


def test_many_processes_make_one_request(house: House, vendor: Vendor) -> None:
    command = [sys.executable, "-c", _PROCESS, str(house.folder), vendor.url]
    environment = {"PYTHONPATH": ":".join([str(Path(__file__).parents[1]), *sys.path])}
    vendor.gate.clear()
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    vendor.gate.set()
    said = [process.communicate()[0] for process in processes]
    assert said == ["0 10 the vendor's\n"] * 3
    assert house.asked == 1


def test_a_process_that_holds_the_lock_too_long_is_not_waited_for_for_ever(house: House, vendor: Vendor) -> None:
    request = house.question.request
    assert request is not None
    with (
        FolderCache(house.folder).lock(request, Deadline(0)),
        pytest.raises(CollateralUnavailable, match="another process is still fetching"),
    ):
        house.supply().obtain((wanted(house.question),), day(1), Deadline(0.05), allow_stale=False)
    assert not house.asked


def test_at_hand_asks_nobody_and_names_only_what_holds(house: House) -> None:
    asked = Wanted(question=house.question)
    assert house.supply().at_hand(asked, day(1)) is None
    house.obtain(day(1))
    found = house.supply().at_hand(asked, day(9))
    assert found is not None
    assert found.origin is Origin.CACHE
    assert house.supply().at_hand(asked, day(10)) is None
    assert house.asked == 1
