"""Hardening, in processes of their own: it cannot be undone."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from hermetic.guest.hardening import Hardening

PROBE = """
import ctypes, json, resource
from pathlib import Path
from hermetic.guest.hardening import harden
if {limited}:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
found = harden()
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({{
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
    "locked": found.memory_locked,
    "locked_kb": int(status["VmLck"].split()[0]),
    "may_lock": bool(int(status["CapEff"], 16) >> 14 & 1),
}}))
"""


def probe(*, limited: bool) -> dict[str, object]:
    code = PROBE.format(limited=limited)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
    found: dict[str, object] = json.loads(out)
    return found


@pytest.mark.parametrize("limited", [False, True])
def test_no_core_file_and_locked_memory_where_it_says_so(limited: bool) -> None:
    found = probe(limited=limited)
    assert (found["core"], found["dumpable"]) == ([0, 0], 0)
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY and not limited
    assert found["locked"] == (unlimited or found["may_lock"])
    assert (found["locked_kb"] != 0) == found["locked"]


def test_the_summary_claims_no_more_than_holds() -> None:
    assert "is locked" in Hardening(memory_locked=True, swap=True).summary
    assert "NOT locked" in Hardening(memory_locked=False, swap=True).summary
    assert "has no swap" in Hardening(memory_locked=False, swap=False).summary


def test_a_silenced_process_has_one_way_to_speak() -> None:
    code = (
        "import os, sys\n"
        "from hermetic.guest.hardening import silence\n"
        "print('before', flush=True)\n"
        "own = silence()\n"
        "print('CANARY'); sys.stderr.write('CANARY'); os.write(1, b'CANARY'); os.write(2, b'CANARY')\n"
        "own.write(b'own')\n"
        "raise ValueError('CANARY')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"before\n", b"own")
