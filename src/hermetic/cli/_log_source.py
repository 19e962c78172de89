"""Where a log is read from: a server, or the folder in which its keeper has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Unavailable

if TYPE_CHECKING:
    import httpx2

    from hermetic.ledger import Disk

__all__ = ["Source", "fetch_ahead", "open_source"]

_LARGEST_BODY = 1024 * 1024
_TIMEOUT = 15.0
_AT_ONCE = 8


class Source(Protocol):
    """A log's files by their C2SP paths.  ``tiles``: whether there are tiles beside the entry bundles."""

    tiles: bool

    def fetch(self, path: str) -> bytes:
        """What lies at ``path``.  Raises NotAuthentic where nothing does, Unavailable where nobody answers."""


@contextmanager
def open_source(where: str) -> Iterator[Source]:
    """``where`` is a URL prefix, or the folder of a log that a broker keeps."""
    if not where.startswith(("http://", "https://")):
        from hermetic.ledger import FolderDisk

        if not (Path(where) / "checkpoint").is_file():
            raise Misconfigured(f"{where}: there is no log", fix="give the URL of a log, or the folder a broker keeps")
        yield _Folder(FolderDisk(Path(where)))
        return
    import httpx2

    with httpx2.Client(timeout=_TIMEOUT, limits=httpx2.Limits(max_connections=_AT_ONCE)) as http:
        yield _Server(http, where.rstrip("/"))


def fetch_ahead(source: Source, paths: Iterable[str]) -> Iterator[bytes]:
    """The bodies at ``paths``, in order, with a few on their way while the first is looked at."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: deque[Future[bytes]] = deque()
        try:
            for path in paths:
                waiting.append(pool.submit(source.fetch, path))
                if len(waiting) > 2 * _AT_ONCE:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for fetch in waiting:
                fetch.cancel()


class _Server:
    """A log behind a URL.  Redirects are not followed."""

    tiles = True

    def __init__(self, http: httpx2.Client, prefix: str) -> None:
        self._http = http
        self._prefix = prefix

    def fetch(self, path: str) -> bytes:
        import httpx2

        from hermetic.ledger.tiles import CHECKPOINT_PATH

        url = f"{self._prefix}/{path}"
        body = bytearray()
        try:
            with self._http.stream("GET", url) as response:
                if response.status_code in (404, 410) and path != CHECKPOINT_PATH:
                    raise NotAuthentic(f"{url} is missing, and the log's checkpoint covers it", code="log_withheld")
                if response.status_code != 200:
                    raise Unavailable(
                        f"{url} answered {response.status_code}", code="log_unavailable", fix="is there a log?"
                    )
                for chunk in response.iter_bytes():
                    body += chunk
                    if len(body) > _LARGEST_BODY:
                        raise Malformed(f"{url} answered with more than {_LARGEST_BODY} bytes")
        except httpx2.HTTPError as error:
            raise Unavailable(
                f"{url} does not answer ({type(error).__name__})", code="log_unavailable", fix="is the broker running?"
            ) from error
        return bytes(body)


class _Folder:
    """A log's own folder, which keeps entries and the checkpoint, and makes tiles only when asked."""

    tiles = False

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def fetch(self, path: str) -> bytes:
        from hermetic.ledger.note import MAX_NOTE_SIZE
        from hermetic.ledger.reader import CHECKPOINT, ENTRIES, ENTRY_SIZE
        from hermetic.ledger.tiles import CHECKPOINT_PATH, TILE_WIDTH, Bundle, encode_bundle, parse_path

        if path == CHECKPOINT_PATH:
            return self._disk.read(CHECKPOINT, 0, MAX_NOTE_SIZE)
        bundle = parse_path(path)
        if not isinstance(bundle, Bundle):
            raise Malformed(f"{path}: a log's folder keeps no tiles")
        entries = self._disk.read(ENTRIES, bundle.index * TILE_WIDTH * ENTRY_SIZE, bundle.width * ENTRY_SIZE)
        return encode_bundle(entries[i : i + ENTRY_SIZE] for i in range(0, len(entries), ENTRY_SIZE))
