"""Keys on the command line: recipients as text or files, identities and owners' keys as files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hermetic.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from hermetic.seal import Identity, Recipient

__all__ = ["read_identities", "read_owner_key", "read_recipients", "write_secret"]

_LIMIT = 4 * 1024 * 1024
_Parsed = TypeVar("_Parsed")


def read_recipients(words: Sequence[str]) -> tuple[Recipient, ...]:
    """Each word is a recipient, or ``@FILE`` or ``FILE`` with one a line.  Raises Malformed or Misconfigured."""
    from hermetic.seal import parse_recipient, parse_recipients

    found: list[Recipient] = []
    for word in words:
        if word.startswith("age1"):
            found.append(parse_recipient(word))
        else:
            found += _parse_file(Path(word.removeprefix("@")), parse_recipients)
    return tuple(found)


def read_identities(paths: Sequence[Path]) -> tuple[Identity, ...]:
    """All identities in key files of ``hermetic keygen`` or ``age-keygen``.  Raises Malformed or Misconfigured."""
    from hermetic.seal import parse_identities

    return tuple(identity for path in paths for identity in _parse_file(path, parse_identities))


def read_owner_key(path: Path) -> Ed25519PrivateKey:
    """Raises Malformed or Misconfigured."""
    from hermetic.seal import parse_owner_key

    return _parse_file(path, lambda text: parse_owner_key(text.encode("ascii", "replace")))


def write_secret(path: Path, text: str) -> None:
    """A new file that only its owner can read.  Raises Misconfigured when something is there: keys are not replaced."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Misconfigured(
            f"{path} is there already", fix="keys are never overwritten: choose another --output"
        ) from None
    except OSError as error:
        raise Misconfigured(f"cannot write {path}: {error.strerror}") from None
    try:
        with open(fd, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _parse_file(path: Path, parse: Callable[[str], _Parsed]) -> _Parsed:
    """Names the file in what ``parse`` refuses; its contents, which may be a secret, are never quoted."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT + 1)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from None
    if len(data) > _LIMIT:
        raise Malformed(f"{path}: too large to be a key file")
    try:
        return parse(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise Malformed(f"{path}: not a text file") from None
    except Malformed as error:
        raise Malformed(f"{path}: {error.message}", code=error.code, fix=error.fix) from None
