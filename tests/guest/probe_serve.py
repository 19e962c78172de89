"""Stands in for ``hermetic/cli/serve.py`` in the program that the tests launch: looks around and tells what it sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType

import click

__all__ = ["serve"]


@click.command()
@click.option("--config", required=True)
@click.argument("probe")
def serve(config: str, probe: str) -> int:
    probes = {"look": _look, "enter": _enter, "attest": _attest, "report": _report, "grandchild": _grandchild}
    return (probes | {"wait": _wait}).get(probe, lambda: int(probe))()


def _tell(value: object) -> int:
    print(json.dumps(value), flush=True)
    return 0


def _look() -> int:
    return _tell(
        {
            "environment": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
            "initial_environment": open("/proc/self/environ").read(),
            "path": sys.path,
            "executable": sys.executable,
            "flags": [sys.flags.isolated, sys.flags.dont_write_bytecode],
            "argv": sys.argv[1:],
            "folder": os.getcwd(),
            "session_leader": os.getsid(0) == os.getpid(),
            "descriptors": _descriptors(),
        }
    )


def _enter() -> int:
    from hermetic.guest import enter

    guest = enter()
    return _tell(
        {
            "launch": guest.launch.to_json(),
            "config": guest.config.decode(),
            "folder": str(guest.folder),
            "descriptor_inheritable": [os.get_inheritable(int(n)) for n in _sockets()],
        }
    )


def _attest() -> int:
    from hermetic.guest import enter

    return _tell(enter().source.collect(bytes(range(64))).to_json())


def _report() -> int:
    """An attestation report as a server makes it: keys of its own, the machine's devices, the platform over both."""
    from hermetic.guest import enter
    from hermetic.identity import Attester, Purpose
    from hermetic.serve.keys import WorkloadKeys

    guest = enter()
    keyset = WorkloadKeys.generate().keyset(subject=guest.launch.service, not_after=int(time.time()) + 3600)
    attester = Attester(guest.source, keyset=keyset, launch=guest.launch, devices=guest.devices)
    return _tell(attester.attest(purpose=Purpose.SESSION, nonce=bytes(range(32))).to_json())


def _grandchild() -> int:
    """What a child of this process inherits, even if it is told to inherit everything."""
    from hermetic.guest import enter

    enter()
    (number,) = _sockets()
    seen = subprocess.run(["/bin/ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=False)
    return _tell({"number": number, "seen": seen.stdout.split()})


def _wait() -> int:
    """Tells its process id, then each signal by name, until SIGTERM."""
    from hermetic.guest import enter

    def heard(number: int, _: FrameType | None) -> None:
        os.write(1, f"{signal.Signals(number).name}\n".encode())  # print may be interrupted by itself
        if number == signal.SIGTERM:
            sys.exit(43)

    enter()
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heard)
    os.write(1, f"{os.getpid()}\n".encode())
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        signal.pause()
    return 1


def _descriptors() -> dict[str, str]:
    links = [(number, f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return {number: os.readlink(link) for number, link in links if os.path.lexists(link)}


def _sockets() -> list[str]:
    return [number for number, target in _descriptors().items() if target.startswith("socket:")]
