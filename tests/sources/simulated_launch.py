"""A simulated machine that answers one descriptor, as it does for a process that it launched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from examined_support import NVIDIA
from hermetic.evidence import SEV_SNP
from hermetic.identity import LaunchDocument
from hermetic.sources.simulator.answering import answer
from hermetic.sources.simulator.handover import Handover
from hermetic.sources.simulator.machine import SimulatedMachine
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine
from hermetic.wire import sha256_digest
from quote_support import intel
from snp_support import simulated

__all__ = ["answering"]

_LAUNCH = LaunchDocument(
    service="s",
    program_digest=sha256_digest(b"program"),
    argv=("hermetic", "serve"),
    environment={},
    config_digest=sha256_digest(b"config"),
    models=(),
    broker_key=None,
    outbound={},
)


def machine(*, tee: str, gpus: int) -> SimulatedMachine:
    return SimulatedMachine(
        tee=tee,
        cpu=simulated() if tee == SEV_SNP else intel(),
        nvidia=NVIDIA if gpus else None,
        devices=NvidiaMachine(gpus=gpus) if gpus else None,
    )


@contextmanager
def answering(endpoint: socket.socket, *, tee: str, gpus: int) -> Iterator[None]:
    """While the machine answers ``endpoint``.  The other end must be closed before it is left."""
    made = machine(tee=tee, gpus=gpus)
    handover = Handover(launch=_LAUNCH, config=b"config", folder=Path("/somewhere"), tee=tee, devices=gpus)
    arguments = {"source": made.source(bytes(32)), "handover": handover, "devices": made.device_source()}
    thread = threading.Thread(target=answer, args=(endpoint,), kwargs=arguments)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()
