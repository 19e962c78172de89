"""The simulated platform: it launches what it measures, and answers for what it launched.

    hash → copy → hash again → execute, with evidence on one inherited descriptor

It stands where hardware and an immutable guest image would: it computes the launch digest itself and puts it where the
TEE signs it (HOST_DATA, MRCONFIGID, CONFIGID).  It proves the chain and keeps no secret: this user, and root, can read
the keys or the child's memory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from hermetic.errors import Misconfigured, Unavailable
from hermetic.guest.launch import LaunchPlan
from hermetic.guest.program import hold, materialise
from hermetic.sources.simulator.answering import answer
from hermetic.sources.simulator.device import OPTION
from hermetic.sources.simulator.handover import Handover, fits, socket_pair
from hermetic.sources.simulator.machine import SimulatedMachine
from hermetic.wire import unhex

__all__ = ["LaunchedWorkload", "SimulatedPlatform"]

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlatform:
    """A machine and a store of program copies."""

    machine: SimulatedMachine
    store: Path

    def launch(
        self, plan: LaunchPlan, *, stdout: IO[bytes] | None = None, stderr: IO[bytes] | None = None
    ) -> LaunchedWorkload:
        """Starts the planned workload from its checked copy.

        It gets an empty environment, the copy as its current folder, no input, this process's output (or the files
        given) and one more descriptor, and is the leader of a session of its own, so that a terminal's Ctrl-C reaches
        it once, from here.  From :func:`hermetic.guest.enter` on it dies with the thread that launched it.  Raises
        NotAuthentic if the copy was modified, and what :func:`materialise` raises.
        """
        program = materialise(plan.tree, self.store)
        handover = Handover(
            launch=plan.document,
            config=plan.config,
            folder=plan.folder,
            tee=self.machine.tee,
            devices=self.machine.device_count,
        )
        if not fits(handover):
            raise Misconfigured("the configuration is too large to be handed over")
        ours, theirs = socket_pair()
        number = theirs.fileno()
        command = program.command("-X", f"{OPTION}={number}", "-m", *plan.document.argv)
        try:
            process = subprocess.Popen(
                command, env={}, cwd=program.root, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                pass_fds=(number,), start_new_session=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            ours.close()
            raise Unavailable(f"the workload could not be started: {type(error).__name__}") from error
        finally:
            theirs.close()
        source = self.machine.source(unhex(plan.document.digest.removeprefix("sha256:"), length=32))
        devices, held = self.machine.device_source(), hold(program)

        def serve() -> None:
            try:
                with ours:
                    answer(ours, source=source, handover=handover, devices=devices)
            finally:
                os.close(held)

        threading.Thread(target=serve, name="simulated-device", daemon=True).start()
        return LaunchedWorkload(process)


class LaunchedWorkload:
    """A running workload."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Passes a signal on; nothing happens if the workload has ended."""
        self._process.send_signal(number)

    def poll(self) -> int | None:
        """The exit code if it has ended, else None.  Does not wait."""
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or 128 + the signal that ended it.  Raises Unavailable after ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"the workload still runs after {timeout} s") from None
        return code if code >= 0 else 128 - code

    def attend(self) -> int:
        """Waits in the foreground, from the main thread: what this process is told by signal, the workload is told."""

        def forward(number: int, _: FrameType | None) -> None:
            self.send_signal(number)

        before = {number: signal.signal(number, forward) for number in _FORWARDED}
        try:
            return self.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self, timeout: float = 10.0) -> int:
        """Asks it to end (SIGTERM), ends it (SIGKILL) after ``timeout`` seconds, and gives the exit code."""
        self.send_signal(signal.SIGTERM)
        try:
            return self.wait(timeout)
        except Unavailable:
            self.send_signal(signal.SIGKILL)
            return self.wait()
