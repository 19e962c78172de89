"""What others wrote reaches a terminal as text: it moves no cursor, names no window and hides nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.control import Control
from rich.text import Text

import event_log_support
import intel_forge
from hermetic.cli import _print_error, main
from hermetic.cli._evidence_show import show_description
from hermetic.cli._fields import fields_table
from hermetic.cli._show import console, show_conclusion
from hermetic.cli._verdict import show_verdict
from hermetic.cli._visible import on_one_line, visible
from hermetic.cli.evidence import evidence
from hermetic.errors import NotAuthentic
from hermetic.evidence import Recognised
from hermetic.evidence.parts import EventLogPart
from hermetic.results import Claim, Part, Verdict
from hermetic.results.claim import Source
from hermetic.results.describe import describe
from hermetic.verify import Check, Outcome

HOSTILE = "x\x1b]0;owned\x07\x1b[2J\x9b2J\u202eaccepted\r\nall passed"
SHOWN = r"x\x1b]0;owned\x07\x1b[2J\x9b2J\u202eaccepted\r"
"""Up to its line feed."""
NEVER = ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e", "\r")


class Screen(io.StringIO):
    """What a terminal would receive, colours and all."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


def on_screen(show: Callable[[], object]) -> str:
    """What ``show`` sends to a terminal, of which nothing is hostile."""
    screen = Screen()
    with redirect_stdout(screen), redirect_stderr(screen):
        show()
    sent = screen.getvalue()
    assert not [sequence for sequence in NEVER if sequence in sent]
    return sent


def test_what_cannot_be_seen_is_written_out() -> None:
    assert visible(HOSTILE) == SHOWN + "\nall passed"
    assert on_one_line(HOSTILE) == SHOWN + r"\nall passed"
    assert visible("ärgerlich — 東京 ✓ \\x1b") == "ärgerlich — 東京 ✓ \\x1b"
    assert visible("\ud800\u2028\t\0") == r"\ud800\u2028\t\x00"


@given(st.text())
def test_all_that_is_left_can_be_seen(text: str) -> None:
    assert on_one_line(text).isprintable()
    assert visible(text).replace("\n", "").isprintable()
    assert visible(visible(text)) == visible(text)


def check(outcome: Outcome) -> Check:
    return Check(name="policy.tdx.x", title="It is ours", outcome=outcome, expected="quiet", got=HOSTILE, section="")


def verdict(*checks: Check, refusal: NotAuthentic | None = None) -> Verdict:
    claim = Claim(name="events.key-provider", value=HOSTILE, source=Source.EVENT_LOG)
    return Verdict(
        at=datetime(2026, 2, 3, tzinfo=UTC),
        checks=checks,
        parts=(Part(name="cpu0", kind="tdx", claims=(claim,), authentic=True),),
        refusal=refusal,
    )


@pytest.mark.parametrize("outcome", [Outcome.PASS, Outcome.FAIL])
@pytest.mark.parametrize("verbose", [False, True])
def test_what_a_check_got(outcome: Outcome, verbose: bool) -> None:
    sent = on_screen(lambda: show_verdict(verdict(check(outcome)), verbose=verbose, fixes=[], claims=False))
    assert SHOWN in sent


def test_a_claim() -> None:
    """On the line of its name: what follows is not taken for a verdict."""
    sent = on_screen(lambda: show_verdict(verdict(), verbose=True, fixes=[]))
    (line,) = [line for line in sent.splitlines() if "events.key-provider" in line]
    assert SHOWN + r"\nall passed  (event log)" in line


def test_the_evidence_of_a_check_is_as_long_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An escape takes no column, and four when it is written out."""
    monkeypatch.setenv("COLUMNS", "80")
    long = Check(name="x", title="It", outcome=Outcome.PASS, expected="", got="\x1b" * 70, section="")
    sent = on_screen(lambda: show_verdict(verdict(long), verbose=False, fixes=[], claims=False))
    (row,) = [line for line in sent.splitlines() if "It" in line]
    assert len(Text.from_ansi(row)) <= 80


def test_why_it_was_refused_and_what_to_do() -> None:
    refusal = NotAuthentic(HOSTILE, code="x")
    assert on_screen(lambda: show_conclusion(console(), "refused", (), [HOSTILE], refusal=refusal)).count(SHOWN) == 2


def test_a_description() -> None:
    log = [{"imr": 3, "event_type": 1, "digest": "00" * 48, "event": HOSTILE, "event_payload": ""}]
    found = Recognised(form="a log", parts=(EventLogPart(name="dstack", log=json.dumps(log).encode()),))
    assert SHOWN + r"\nall passed" in on_screen(lambda: show_description("log.json", describe(found)))


def test_an_error() -> None:
    """Messages quote names and files, and those what their maker liked."""

    def run() -> None:
        with pytest.raises(SystemExit):
            main(["receipt", "verify", HOSTILE, "--policy", "policy.toml"])

    assert f"cannot read {SHOWN}" in on_screen(run)


@pytest.mark.parametrize("said", [{"message": HOSTILE}, {"message": "no", "fix": HOSTILE}], ids=["message", "fix"])
def test_all_of_an_error(said: dict[str, str]) -> None:
    assert SHOWN in on_screen(lambda: _print_error(NotAuthentic(**said)))


def test_whatever_else_is_shown() -> None:
    """Styles are the console's, and stay."""

    def show() -> None:
        out = console(stderr=True)
        out.print("[bold]" + HOSTILE + "[/]", HOSTILE, soft_wrap=True)
        out.print(HOSTILE, markup=False)

    sent = on_screen(show)
    assert sent.count(r"\x1b[2J\x9b2J\u202eaccepted") == 3
    assert "\x1b[1m" in sent


def test_a_name_beside_a_value() -> None:
    assert SHOWN + r"\nall passed" in on_screen(lambda: console().print(fields_table({HOSTILE: "a value"})))


def test_the_console_s_own_control_is_kept() -> None:
    assert "\x1b[H" in on_screen(lambda: console().print(Control.home()))


def test_json_is_plain(tmp_path: Path) -> None:
    events = json.loads(event_log_support.dstack(*event_log_support.RUNTIME).to_bytes())
    events[0]["event"] = HOSTILE
    path = tmp_path / "log.json"
    path.write_text(json.dumps({"quote": intel_forge.Intel().issue().evidence.hex(), "event_log": json.dumps(events)}))
    sent = on_screen(lambda: evidence.main(["show", str(path), "--json"], standalone_mode=False))
    assert sent.isascii()
    (described,) = json.loads(sent).values()
    assert described["parts"][1]["fields"]["events"][0] == HOSTILE
