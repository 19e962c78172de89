"""The last checkpoint a client saw of each log, and the demand that whatever comes next continues it.

A log that shows different trees to different people, or takes something back, is found out here and nowhere else; so a
client keeps this for as long as it keeps its keys.  :class:`Pinned` is the logic; :class:`PinnedCheckpoints` the file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.ledger.checkpoint import SignedCheckpoint, open_checkpoint
from hermetic.ledger.merkle import HASH_SIZE, verify_consistency
from hermetic.ledger.note import VerifierKey
from hermetic.wire import parse_object, unhex

__all__ = ["Pinned", "PinnedCheckpoints"]

_REMEMBERED = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """The newest checkpoint seen of one log, and earlier ones (size to root) that were shown to lead to it.

    The first checkpoint seen has nothing to continue: that much is trust on first use, with the log's key behind it.
    """

    newest: SignedCheckpoint
    earlier: Mapping[int, bytes]

    @classmethod
    def first(cls, checkpoint: SignedCheckpoint) -> Pinned:
        """Begins with the first checkpoint ever seen of a log."""
        return cls(newest=checkpoint, earlier={})

    def advance(self, checkpoint: SignedCheckpoint, proof: Sequence[bytes] = ()) -> Pinned:
        """What to keep once the log shows ``checkpoint`` as its newest; ``proof`` leads there from :attr:`newest`.

        Raises NotAuthentic: ``log_rollback`` if it is older, ``log_fork`` if it does not continue what was seen.
        """
        self._same_log(checkpoint)
        if checkpoint.size < self.newest.size:
            raise NotAuthentic(
                f"the log {checkpoint.origin} went back: it showed {self.newest.size} entries before, and now "
                f"{checkpoint.size}",
                code="log_rollback",
                fix="keep both checkpoints and ask whoever keeps the log",
            )
        self._continues(self.newest, checkpoint, proof)
        if checkpoint.size == self.newest.size:
            return self
        earlier = {**self.earlier, self.newest.size: self.newest.root}
        return Pinned(newest=checkpoint, earlier=dict(sorted(earlier.items())[-_REMEMBERED:]))

    def admit(self, checkpoint: SignedCheckpoint, proof: Sequence[bytes]) -> Pinned:
        """What to keep once an older ``checkpoint`` was shown, by ``proof``, to lead to :attr:`newest`.

        Raises NotAuthentic (``log_fork``) if it does not.
        """
        self._same_log(checkpoint)
        self._continues(checkpoint, self.newest, proof)
        earlier = {**self.earlier, checkpoint.size: checkpoint.root}
        return replace(self, earlier=dict(sorted(earlier.items())[-_REMEMBERED:]))

    def recognises(self, checkpoint: SignedCheckpoint) -> bool:
        """Whether ``checkpoint`` is one that was seen and is continued by :attr:`newest`.

        False says only that nothing is known of that size.  Raises NotAuthentic (``log_fork``) if another root is.
        """
        self._same_log(checkpoint)
        known = {**self.earlier, self.newest.size: self.newest.root}.get(checkpoint.size)
        if known is not None and known != checkpoint.root:
            raise _fork(checkpoint, f"two roots for {checkpoint.size} entries")
        return known is not None

    def _same_log(self, checkpoint: SignedCheckpoint) -> None:
        if checkpoint.origin != self.newest.origin:
            raise NotAuthentic(
                f"expected a checkpoint of {self.newest.origin}, got one of {checkpoint.origin}", code="log_origin"
            )

    def _continues(self, old: SignedCheckpoint, new: SignedCheckpoint, proof: Sequence[bytes]) -> None:
        try:
            verify_consistency(old_size=old.size, old_root=old.root, new_size=new.size, new_root=new.root, proof=proof)
        except NotAuthentic as error:
            raise _fork(new, error.message) from error


class PinnedCheckpoints:
    """A small JSON file of :class:`Pinned` by log, replaced as a whole and durably.

    The log's key opens what is kept: a log that comes with another key than before is refused, not begun anew.  On
    POSIX a lock beside the file keeps two processes from undoing each other.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, log_key: VerifierKey) -> Pinned | None:
        """What is kept of the log with that key, or None if it was never seen.

        Raises Malformed on a damaged file, and NotAuthentic if the log had another key.
        """
        entry = self._read().get(log_key.name)
        return None if entry is None else _open(entry, log_key)

    def keys(self) -> dict[str, VerifierKey]:
        """The key of each log that is kept, by the log's name."""
        return {origin: VerifierKey.parse(entry["log_key"]) for origin, entry in self._read().items()}

    def advance(self, checkpoint: SignedCheckpoint, proof: Sequence[bytes] = ()) -> Pinned:
        """:meth:`Pinned.advance` on what is kept, or :meth:`Pinned.first` where nothing is; kept before it returns."""
        log_key = next(key for key in checkpoint.signed_by if key.name == checkpoint.origin)
        with self._locked():
            entries = self._read()
            entry = entries.get(log_key.name)
            pinned = Pinned.first(checkpoint) if entry is None else _open(entry, log_key).advance(checkpoint, proof)
            self._write({**entries, log_key.name: _entry(pinned, log_key)})
        return pinned

    def admit(self, checkpoint: SignedCheckpoint, proof: Sequence[bytes]) -> Pinned:
        """:meth:`Pinned.admit` on what is kept; kept before it returns.  Raises NotAuthentic where nothing is."""
        log_key = next(key for key in checkpoint.signed_by if key.name == checkpoint.origin)
        with self._locked():
            entries = self._read()
            if log_key.name not in entries:
                raise NotAuthentic(f"nothing is kept of the log {log_key.name}", code="log_unknown")
            pinned = _open(entries[log_key.name], log_key).admit(checkpoint, proof)
            self._write({**entries, log_key.name: _entry(pinned, log_key)})
        return pinned

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._fault(error) from error
        document = parse_object(data, what="pinned checkpoints")
        for entry in document.values():
            if not isinstance(entry, dict) or entry.keys() != {"log_key", "newest", "earlier"}:
                raise Malformed("pinned checkpoints: an entry is damaged", fix=f"look at {self._path}")
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except OSError as error:
            raise self._fault(error) from error
        finally:
            Path(temporary).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self._path.with_name(self._path.name + ".lock"), "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise self._fault(error) from error
        with file:
            try:
                import fcntl
            except ImportError:  # not POSIX
                pass
            else:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _fault(self, error: OSError) -> Misconfigured:
        return Misconfigured(f"cannot keep checkpoints in {self._path}: {error.strerror}", code="pins_unwritable")


def _entry(pinned: Pinned, log_key: VerifierKey) -> dict[str, Any]:
    return {
        "log_key": str(log_key),
        "newest": pinned.newest.note.decode("utf-8"),
        "earlier": {str(size): root.hex() for size, root in pinned.earlier.items()},
    }


def _open(entry: Mapping[str, Any], log_key: VerifierKey) -> Pinned:
    if entry["log_key"] != str(log_key):
        raise NotAuthentic(
            f"the log {log_key.name} had the key {entry['log_key']} before",
            code="log_key_changed",
            fix="a log keeps its key; if this change is meant, remove the old entry by hand",
        )
    earlier = entry["earlier"]
    if not isinstance(entry["newest"], str) or not isinstance(earlier, dict):
        raise Malformed("pinned checkpoints: an entry is damaged")
    try:
        roots = {int(size): unhex(root, what="earlier root", length=HASH_SIZE) for size, root in earlier.items()}
    except ValueError:
        raise Malformed("pinned checkpoints: an earlier size is not a number") from None
    return Pinned(newest=open_checkpoint(entry["newest"].encode("utf-8"), log_key=log_key), earlier=roots)


def _fork(checkpoint: SignedCheckpoint, reason: str) -> NotAuthentic:
    return NotAuthentic(
        f"the log {checkpoint.origin} shows more than one history: {reason}",
        code="log_fork",
        fix="keep both checkpoints: together they prove it",
    )
