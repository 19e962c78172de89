"""What ``hermetic seal`` and ``hermetic open`` do, once their options are read."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from hermetic import seal
from hermetic.cli._keys import read_owner_key
from hermetic.cli._progress import bytes_bar
from hermetic.errors import Misconfigured, NotAuthentic, Unavailable
from hermetic.seal.age import open_stream, seal_stream

__all__ = ["open_bundle", "open_file", "seal_bundle", "seal_file", "signing"]

_MODEL_SUFFIXES = frozenset({".gguf", ".safetensors", ".onnx"})
_PIPE = Path("-")


def signing(resource: str | None, version: str | None, owner_key: Path | None) -> seal.Sign | None:
    """How the bundle will be signed; None when it will not.  Raises Misconfigured, before any work is done."""
    if resource is None and version is None and owner_key is None:
        return None
    if resource is None or version is None or owner_key is None:
        raise Misconfigured("--resource, --version and --sign go together", fix="give all three, or none")
    key = read_owner_key(owner_key)
    seal.check_resource(resource, version)
    return lambda bundle: seal.sign_version(bundle.resource_version(resource=resource, version=version), key)


def seal_bundle(
    path: Path,
    output: Path | None,
    recipients: Sequence[seal.Recipient],
    *,
    kind: str | None,
    name: str | None,
    licence: str | None,
    sign: seal.Sign | None,
    force: bool,
) -> seal.Bundle:
    """Seals ``path`` as a bundle; what is not said about it follows from its files' names."""
    if _PIPE in (path, output):
        raise Misconfigured("a bundle is a folder: it cannot go through a pipe")
    path = path.resolve()
    destination = output or path.with_name(path.name + ".bundle")
    with _carefully():
        files = seal.files_to_seal(path)
        model = any(file.suffix.lower() in _MODEL_SUFFIXES for file in files.values())
        with bytes_bar("sealing", sum(_size(file) for file in files.values())) as progress:
            return seal.seal_bundle(
                path,
                destination,
                recipients,
                kind=seal.Kind(kind) if kind else seal.Kind.MODEL if model else seal.Kind.DATA,
                name=name or path.stem,
                licence=licence or "",
                sign=sign,
                replace=force,
                progress=progress,
            )


def seal_file(path: Path, output: Path | None, recipients: Sequence[seal.Recipient], *, force: bool) -> dict[str, Any]:
    """Seals one file or pipe.  Says what became of it."""
    if path == _PIPE and output is None:
        output = _PIPE
    destination = output or path.with_name(path.name + ".age")
    with _carefully():
        if _PIPE not in (path, destination):
            with bytes_bar("sealing", _size(path)) as progress:
                header = seal.seal_path(path, destination, recipients, replace=force, progress=progress)
        else:
            with _source(path) as source, _sink(destination, force, secret=False) as sink:
                header = seal_stream(source, sink, recipients)
    return {
        "output": str(destination),
        "header_digest": header.digest,
        "recipients": len(recipients),
        "post_quantum": all(recipient.post_quantum for recipient in recipients),
    }


def open_file(path: Path, output: Path | None, identities: Sequence[seal.Identity], *, force: bool) -> dict[str, Any]:
    """Opens one age file or pipe.  Says what became of it."""
    destination = output or _opened_name(path, ".age")
    with _carefully():
        if _PIPE not in (path, destination):
            with bytes_bar("opening", _size(path)) as progress:
                keys = _with(identities)
                header = seal.open_path(path, destination, keys, replace=force, progress=progress)
        else:
            with _source(path) as source, _sink(destination, force, secret=True) as sink:
                header = open_stream(source, sink, *identities)
    return {"output": str(destination), "header_digest": header.digest}


def open_bundle(
    path: Path,
    output: Path | None,
    identities: Sequence[seal.Identity],
    *,
    owner: str | None,
    manifest_digest: str | None,
    force: bool,
) -> dict[str, Any]:
    """Opens a bundle that ``owner`` or ``manifest_digest`` vouches for, where they are given.

    Raises NotAuthentic before anything is opened when they do not.
    """
    destination = output or _opened_name(path.resolve(), ".bundle")
    if destination == _PIPE:
        raise Misconfigured("a bundle is a folder: it cannot go through a pipe")
    with _carefully():
        bundle = seal.read_bundle(path)
        vouched_by = [*_check_manifest(bundle, manifest_digest), *_check_owner(bundle, owner)]
        with bytes_bar("opening", bundle.manifest.size) as progress:
            seal.open_bundle(bundle, destination, _with(identities), replace=force, progress=progress)
    return {
        "output": str(destination),
        "manifest_digest": bundle.manifest_digest,
        "kind": bundle.manifest.kind.value,
        "name": bundle.manifest.name,
        "licence": bundle.manifest.licence,
        "files": [{"name": file.name, "size": file.size} for file in bundle.manifest.files],
        "vouched_by": vouched_by,
    }


def _check_manifest(bundle: seal.Bundle, expected: str | None) -> list[str]:
    if expected is None:
        return []
    if bundle.manifest_digest != expected:
        raise NotAuthentic(
            f"the bundle's manifest is {bundle.manifest_digest}, expected {expected}", code="manifest_mismatch"
        )
    return ["the digest you gave"]


def _check_owner(bundle: seal.Bundle, owner: str | None) -> list[str]:
    if owner is None:
        return []
    signed = bundle.signed_version()
    if signed is None:
        raise NotAuthentic("the bundle holds no signed version", code="owner_signature", fix="leave out --owner")
    version = signed.verify(owner=owner)
    bundle.check_version(version)
    return [f"its owner, as version {version.version} of {version.resource}"]


def _with(identities: Sequence[seal.Identity]) -> seal.Unwrap:
    return lambda header: seal.unwrap(header, *identities)


def _opened_name(path: Path, suffix: str) -> Path:
    if path == _PIPE:
        return _PIPE
    if path.suffix != suffix:
        raise Misconfigured(f"{path.name} does not end with {suffix}", fix="say where to: --output")
    return path.with_suffix("")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def _source(path: Path) -> Iterator[BinaryIO]:
    if path == _PIPE:
        yield sys.stdin.buffer
        return
    with seal.regular_file(path) as fd, open(fd, "rb", closefd=False) as stream:
        yield stream


@contextmanager
def _sink(path: Path, force: bool, *, secret: bool) -> Iterator[BinaryIO]:
    """Where a stream goes: a file that appears only when all is done, or standard output as it comes."""
    if path == _PIPE:
        if not secret and sys.stdout.isatty():
            raise Misconfigured("an age file is binary, not for a terminal", fix="give --output FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with (
        seal.new_file(path, replace=force, mode=0o600 if secret else 0o644) as fd,
        open(fd, "wb", closefd=False) as out,
    ):
        yield out


@contextmanager
def _carefully() -> Iterator[None]:
    """Makes a request to end (SIGTERM) an ordinary exception for the block, so that no half-written file stays, and
    what the system says about files a sentence."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise Misconfigured(f"{error.filename}: {error.strerror}") from None
    except OSError as error:
        raise Unavailable(f"{error.filename or 'writing failed'}: {error.strerror}") from None
    finally:
        signal.signal(signal.SIGTERM, before)
