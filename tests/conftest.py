"""What every test run does: reproducible property tests, and honesty about what was skipped."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["stack_support"]  # here, so that every folder's tests share one running stack

_EXPECTED = tomllib.loads((Path(__file__).parent / "skips.toml").read_text(encoding="utf-8"))

settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci" if os.environ.get("CI") else "dev")


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    text = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")


def _explained(reason: str) -> str | None:
    for entry in _EXPECTED["skip"]:
        if entry["reason"] in reason:
            return str(entry["unproven"])
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Ends every run with what this machine could not prove."""
    skipped: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        skipped[_reason(report)] = skipped.get(_reason(report), 0) + 1
    terminalreporter.section("what this machine could not prove")
    for line in _EXPECTED["always"]:
        terminalreporter.write_line(f"- {line}")
    for reason, count in sorted(skipped.items()):
        explanation = _explained(reason)
        note = explanation or "NOT LISTED in tests/skips.toml"
        terminalreporter.write_line(f"- {count} skipped ({reason}): {note}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skip that nobody listed and explained is a failure."""
    if not os.environ.get("CI"):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # an xdist worker: the controller judges
        return
    unlisted = [report for report in reporter.stats.get("skipped", []) if _explained(_reason(report)) is None]
    if unlisted and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
