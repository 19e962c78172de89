"""The one way in which collateral is fetched, over real sockets, from a server that is not always kind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from collateral_vendor import BUSY, HTML, Reply, Vendor
from hermetic.errors import Malformed, Misconfigured, Unavailable
from hermetic.sources.collateral import Patience, Services
from hermetic.sources.collateral.fetch import Fetcher
from hermetic.sources.collateral.flight import Flights
from hermetic.sources.collateral.question import Request
from hermetic.sources.collateral.services import origin_of
from hermetic.sources.collateral.timed import Deadline

PATIENCE = Patience(total=20, silence=5, attempts=3, first_pause=0)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        vendor.published["/document"] = Reply(body=b"a document", headers={"Chain": "abc", "Other": "x"})
        yield vendor


@pytest.fixture
def fetcher(vendor: Vendor) -> Iterator[Fetcher]:
    fetcher = Fetcher(vendor.services.origins, patience=PATIENCE)
    yield fetcher
    fetcher.close()


def asked(vendor: Vendor, path: str = "/document", largest: int = 100, **changes: object) -> Request:
    return Request(url=f"{vendor.url}{path}", largest=largest, headers=("chain",), **changes)  # type: ignore[arg-type]


def fetched(fetcher: Fetcher, request: Request, seconds: float = 20) -> bytes:
    return fetcher.fetch(request, Deadline(seconds)).content


def test_a_document_comes_as_it_was_sent_with_the_headers_that_belong_to_it(vendor: Vendor, fetcher: Fetcher) -> None:
    answer = fetcher.fetch(asked(vendor), Deadline(20))
    assert answer.content == b"a document"
    assert dict(answer.headers) == {"chain": "abc"}


def test_a_request_with_a_body_is_posted(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/echo"] = lambda body: Reply(body=b"got " + body)
    request = asked(vendor, "/echo", body=b"a question", media_type="application/ocsp-request")
    assert fetched(fetcher, request) == b"got a question"


def test_no_host_but_the_services_is_ever_asked(vendor: Vendor) -> None:
    elsewhere = Fetcher(Services().origins, patience=PATIENCE)
    with pytest.raises(Misconfigured, match="not one of the services"):
        elsewhere.fetch(asked(vendor), Deadline(20))
    assert not vendor.asked
    elsewhere.close()


def test_a_redirect_is_not_followed(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/moved"] = Reply(status=302, headers={"Location": f"{vendor.url}/document"}, body=b"moved")
    with pytest.raises(Unavailable, match="redirect, which is not followed"):
        fetched(fetcher, asked(vendor, "/moved"))
    assert vendor.asked == {"/moved": 1}


@pytest.mark.parametrize(("status", "code"), [(404, "collateral_unknown"), (400, "collateral_unavailable")])
def test_a_no_is_not_asked_again(vendor: Vendor, fetcher: Fetcher, status: int, code: str) -> None:
    vendor.published["/document"] = Reply(status=status, body=b"no")
    with pytest.raises(Unavailable) as error:
        fetched(fetcher, asked(vendor))
    assert error.value.code == code
    assert vendor.url in error.value.message
    assert vendor.asked["/document"] == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_vendor_is_asked_again(vendor: Vendor, fetcher: Fetcher, status: int) -> None:
    vendor.first("/document", Reply(status=status), Reply(status=status))
    assert fetched(fetcher, asked(vendor)) == b"a document"
    assert vendor.asked["/document"] == 3


def test_a_storm_of_429_ends_after_a_bounded_number_of_attempts(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/document"] = BUSY
    with pytest.raises(Unavailable, match="answers 429; gave up after 3 attempts"):
        fetched(fetcher, asked(vendor))
    assert vendor.asked["/document"] == 3


def test_pauses_double_and_are_as_long_as_the_vendor_asks(vendor: Vendor) -> None:
    pauses: list[float] = []
    patience = Patience(total=100, silence=5, attempts=4, first_pause=0.5)
    fetcher = Fetcher(vendor.services.origins, patience=patience, sleep=pauses.append)
    vendor.first("/document", Reply(status=429), Reply(status=503, headers={"Retry-After": "7"}), Reply(status=429))
    assert fetched(fetcher, asked(vendor), 100) == b"a document"
    assert pauses == [0.5, 7.0, 2.0]
    fetcher.close()


def test_a_vendor_that_asks_for_more_time_than_there_is_is_given_up_on_at_once(vendor: Vendor) -> None:
    pauses: list[float] = []
    fetcher = Fetcher(vendor.services.origins, patience=PATIENCE, sleep=pauses.append)
    vendor.published["/document"] = Reply(status=429, headers={"Retry-After": "60"})
    with pytest.raises(Unavailable, match="asks to wait 60 s; gave up after 1 attempts"):
        fetched(fetcher, asked(vendor), 20)
    assert not pauses
    fetcher.close()


@pytest.mark.parametrize("wish", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e9", "999999"])
def test_a_wish_that_is_not_a_number_of_seconds_is_no_wish(vendor: Vendor, wish: str) -> None:
    pauses: list[float] = []
    fetcher = Fetcher(vendor.services.origins, patience=PATIENCE, sleep=pauses.append)
    vendor.first("/document", Reply(status=429, headers={"Retry-After": wish}))
    assert fetched(fetcher, asked(vendor)) == b"a document"
    assert pauses == [0.0]
    fetcher.close()


def test_a_body_that_is_cut_short_is_asked_for_again(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.first("/document", Reply(body=b"a document", cut=4))
    assert fetched(fetcher, asked(vendor)) == b"a document"
    vendor.published["/document"] = Reply(body=b"a document", cut=4)
    with pytest.raises(Unavailable, match="no answer"):
        fetched(fetcher, asked(vendor))


def test_a_server_that_is_not_there_is_unavailable(fetcher: Fetcher, vendor: Vendor) -> None:
    vendor.stop()
    with pytest.raises(Unavailable, match=r"no answer \(ConnectError\)"):
        fetched(fetcher, asked(vendor))


def test_a_server_that_says_nothing_is_waited_for_as_long_as_patience_lasts(vendor: Vendor) -> None:
    vendor.gate.clear()
    fetcher = Fetcher(vendor.services.origins, patience=Patience(total=20, silence=0.05, attempts=2, first_pause=0))
    with pytest.raises(Unavailable, match=r"no answer \(ReadTimeout\); gave up after 2 attempts"):
        fetched(fetcher, asked(vendor))
    fetcher.close()


def test_a_body_that_trickles_is_given_up_on_at_the_deadline(vendor: Vendor) -> None:
    """Each byte comes in time; all together do not.  The clock here advances by looking at it."""
    vendor.published["/document"] = Reply(body=b"x" * 60, pace=0.005)
    ticks = count()
    fetcher = Fetcher(vendor.services.origins, patience=PATIENCE)
    with pytest.raises(Unavailable, match="too slowly"):
        fetcher.fetch(asked(vendor), Deadline(10, monotonic=lambda: float(next(ticks))))
    fetcher.close()


def test_a_body_may_be_as_large_as_allowed_and_not_a_byte_larger(vendor: Vendor, fetcher: Fetcher) -> None:
    assert fetched(fetcher, asked(vendor, largest=10)) == b"a document"
    with pytest.raises(Malformed, match="more than 9 bytes"):
        fetched(fetcher, asked(vendor, largest=9))


def test_a_huge_body_is_not_read_to_its_end(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/document"] = Reply(body=bytes(64 << 20))
    with pytest.raises(Malformed, match="more than 100 bytes"):
        fetched(fetcher, asked(vendor))


def test_an_empty_answer_is_none(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/document"] = Reply()
    with pytest.raises(Malformed, match="answers with nothing"):
        fetched(fetcher, asked(vendor))


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_no_document(vendor: Vendor, fetcher: Fetcher, kind: str) -> None:
    vendor.published["/document"] = Reply(body=HTML, content_type=kind)
    with pytest.raises(Malformed, match="a web page"):
        fetched(fetcher, asked(vendor))


def test_what_is_compressed_unasked_is_refused(vendor: Vendor, fetcher: Fetcher) -> None:
    vendor.published["/document"] = Reply(body=b"a document", headers={"Content-Encoding": "identity"})
    assert fetched(fetcher, asked(vendor)) == b"a document"
    vendor.published["/document"] = Reply(body=b"a document", headers={"Content-Encoding": "gzip"})
    with pytest.raises(Malformed, match="compressed"):
        fetched(fetcher, asked(vendor))


# Addresses and patience


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://kdsintf.amd.com/vcek", "https://kdsintf.amd.com:443"),
        ("http://Localhost:8081", "http://localhost:8081"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "a.example", "https://", "https://user@a.example", "https://a.example:x", "file:///etc"]
)
def test_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured):
        Services(kds=url)


@pytest.mark.parametrize("url", ["https://a.example/?x=1", "https://a.example/#there"])
def test_a_service_has_no_query(url: str) -> None:
    with pytest.raises(Misconfigured, match="no query"):
        Services(pcs=url)


def test_a_pccs_stands_in_intels_place() -> None:
    services = Services.with_pccs("https://pccs.example:8081/", tcb_update="early")
    assert services.pcs == "https://pccs.example:8081"
    assert services.intel_root_crl == "https://pccs.example:8081/sgx/certification/v4/rootcacrl"
    assert services.tcb_update == "early"
    assert "https://api.trustedservices.intel.com:443" not in services.origins


def test_an_update_is_standard_or_early() -> None:
    with pytest.raises(Misconfigured, match="standard or early"):
        Services(tcb_update="late")  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"attempts": 0}, {"total": 0}, {"silence": 0}, {"first_pause": -1}])
def test_no_patience_at_all_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(Misconfigured, match="at least one attempt"):
        Patience(**changes)  # type: ignore[arg-type]


# One request in flight


class InFlight:
    """Work in a thread of its own, held back until told what becomes of it."""

    def __init__(self, flights: Flights[int], outcome: Callable[[], int]) -> None:
        self._begun, self._go = threading.Event(), threading.Event()
        self._outcome = outcome
        self.flights = flights
        self.seen: list[object] = []
        self.threads = [threading.Thread(target=self._run, args=(self._work,))]
        self.threads[0].start()
        self._begun.wait(20)

    def join_in(self, work: Callable[[], int] = lambda: pytest.fail("it ran twice")) -> None:
        """Another thread wants the same; returns once it waits.  It has no need to ``work`` itself."""
        thread = threading.Thread(target=self._run, args=(work,))
        self.threads.append(thread)
        thread.start()
        while not _is_in(thread, "_outcome"):
            pass

    def land(self) -> list[object]:
        self._go.set()
        for thread in self.threads:
            thread.join()
        return self.seen

    def _work(self) -> int:
        self._begun.set()
        self._go.wait(20)
        return self._outcome()

    def _run(self, work: Callable[[], int]) -> None:
        try:
            self.seen.append(self.flights.run("key", work, Deadline(20)))
        except BaseException as error:
            self.seen.append(error)


def _is_in(thread: threading.Thread, function: str) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


def test_who_comes_meanwhile_waits_for_the_outcome_and_who_comes_after_asks_anew() -> None:
    numbers = count()
    flying = InFlight(Flights(), lambda: next(numbers))
    flying.join_in()
    flying.join_in()
    assert flying.land() == [0, 0, 0]
    assert flying.flights.run("key", lambda: next(numbers), Deadline(20)) == 1


def test_other_keys_do_not_wait() -> None:
    flying = InFlight(Flights(), lambda: 1)
    assert flying.flights.run("another key", lambda: 2, Deadline(20)) == 2
    assert flying.land() == [1]


@pytest.mark.parametrize(
    "failure",
    [Unavailable("no such document", code="collateral_unknown"), Malformed("a web page")],
    ids=["no such document", "something else"],
)
def test_what_a_vendor_said_is_shared_and_not_remembered(failure: Exception) -> None:
    def fail() -> int:
        raise failure

    flying = InFlight(Flights(), fail)
    flying.join_in()
    assert flying.land() == [failure, failure]
    assert flying.flights.run("key", lambda: 1, Deadline(20)) == 1


@pytest.mark.parametrize("failure", [Unavailable("no time"), KeyboardInterrupt()], ids=["no time", "interrupt"])
def test_the_failure_of_one_thread_is_for_that_thread_only(failure: BaseException) -> None:
    def fail() -> int:
        raise failure

    flying = InFlight(Flights(), fail)
    flying.join_in(lambda: 2)
    assert flying.land() in ([failure, 2], [2, failure])


def test_nobody_waits_longer_than_he_has_time() -> None:
    flying = InFlight(Flights(), lambda: 1)
    with pytest.raises(Unavailable, match="still fetching"):
        flying.flights.run("key", lambda: pytest.fail("it ran twice"), Deadline(0))
    assert flying.land() == [1]
