"""Appends to a log for ever and says what was acknowledged, until it kills itself, as ``kill -9`` would.

writer.py FOLDER "write entries 2"      right before the second such operation of the disk
writer.py FOLDER "after 0.13"           so many seconds after the first append, wherever it is then
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import NoReturn

from hermetic.ledger import FolderDisk, Log
from ledger_support import SIGNER, commitment


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DeadlyDisk(FolderDisk):
    """A folder that counts operations since :meth:`arm`, and kills the process right before the chosen one."""

    def __init__(self, folder: Path, kill: str) -> None:
        super().__init__(folder)
        self._kill = kill
        self._done: Counter[str] | None = None

    def arm(self) -> None:
        self._done = Counter()

    def write(self, name: str, offset: int, data: bytes) -> None:
        self._count(f"write {name}")
        super().write(name, offset, data)

    def sync(self, name: str) -> None:
        self._count(f"sync {name}")
        super().sync(name)

    def rename(self, old: str, new: str) -> None:
        self._count(f"rename {old}")
        super().rename(old, new)

    def sync_folder(self) -> None:
        self._count("sync_folder .")
        super().sync_folder()

    def _count(self, operation: str) -> None:
        if self._done is not None:
            self._done[operation] += 1
            if f"{operation} {self._done[operation]}" == self._kill:
                die()


def main(folder: Path, kill: str) -> None:
    disk = DeadlyDisk(folder, kill)
    log = Log.open(disk, signer=SIGNER)
    disk.arm()
    if kill.startswith("after "):
        threading.Timer(float(kill.removeprefix("after ")), die).start()
    turn = 0
    while True:
        turn += 1
        start = log.checkpoint.size
        batch = [commitment(number) for number in range(start, start + 1 + turn % 7)]
        appended = log.append(batch)
        print(appended.first_index, len(batch), appended.checkpoint.note.hex(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
