"""Files that a policy names: allow-lists that are kept apart from it, and releases (:mod:`hermetic.policy.release`).

An allow-list has one value a line; ``#`` starts a comment.  Files travel with the policy: their names are relative to
its folder, and lead no further.  What they say is read once, when the policy is loaded, and its digest goes into the
policy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from hermetic.errors import Misconfigured
from hermetic.verify import Check
from hermetic.wire import Digest, sha256_digest

__all__ = ["Files", "PolicyFile", "beside", "name_sources", "read_lists"]

Files = Callable[[str], bytes]
"""Reads a file that a policy names.  Raises Misconfigured where it cannot."""

_LIMIT = 4 * 1024 * 1024

# The field that names a file, the field that its values join, and the check that then rests on it.
_LISTS = {
    "snp": ("chip_ids_file", "chip_ids", ".chip-id"),
    "tdx": ("ppids_file", "ppids", ".ppid"),
    "sgx": ("ppids_file", "ppids", ".ppid"),
    "nvidia": ("ueids_file", "ueids", ".ueid"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFile:
    """A file that a policy rests on, as it was when the policy was loaded.  ``field`` says where it is named."""

    field: str
    name: str
    digest: Digest

    def __str__(self) -> str:
        return f"{self.name} {self.digest}"


def beside(policy: Path) -> Files:
    """The files in the folder of ``policy``."""

    def read(name: str) -> bytes:
        try:
            with (policy.parent / name).open("rb") as stream:
                return stream.read(_LIMIT + 1)
        except OSError as error:
            raise Misconfigured(
                f"{policy}: cannot read {name}: {error.strerror}",
                code="policy_file_unreadable",
                fix="files that a policy names lie in its folder",
            ) from error

    return read


def read_named(name: str, files: Files | None) -> bytes:
    """The file.  Raises Misconfigured without anybody to read it, for a name that leads elsewhere, and if too large."""
    if files is None:
        raise Misconfigured(
            f"the policy names the file {name}, and came alone",
            code="policy_file_unreadable",
            fix="load the policy from its folder",
        )
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise Misconfigured(
            f"the policy names the file {name}, which is not in its own folder",
            code="policy_file_elsewhere",
            fix="put the file beside the policy",
        )
    data = files(name)
    if len(data) > _LIMIT:
        raise Misconfigured(f"{name}: larger than {_LIMIT} bytes", code="policy_file_malformed")
    return data


def read_lists(tables: dict[str, Any], files: Files | None) -> tuple[dict[str, Any], tuple[PolicyFile, ...]]:
    """The tables, with what their files list in their lists, and the files.  A table that is not there is None.

    Raises Misconfigured for an empty file, and for a value that the list itself could not hold.
    """
    joined, read = dict(tables), []
    for table, (file_field, field, _) in _LISTS.items():
        policy = tables.get(table)
        if policy is None or (name := getattr(policy, file_field)) is None:
            continue
        data = read_named(name, files)
        values = _values(data, name)
        joined[table] = _with(policy, field, tuple(dict.fromkeys([*(getattr(policy, field) or ()), *values])), name)
        read.append(PolicyFile(field=f"{table}.{file_field}", name=name, digest=sha256_digest(data)))
    return joined, tuple(read)


def name_sources(checks: tuple[Check, ...], files: tuple[PolicyFile, ...]) -> Iterator[Check]:
    """The checks; one that rests on a listed file says so, with the file's digest."""
    ends = {f"policy.{table}": (f"{table}.{field}", end) for table, (field, _, end) in _LISTS.items()}
    for check in checks:
        named = next((file for file in files if _rests_on(check, file, ends)), None)
        yield check if named is None else replace(check, expected=f"{check.expected}; {named}")


def _rests_on(check: Check, file: PolicyFile, ends: dict[str, tuple[str, str]]) -> bool:
    return any(
        file.field == field and check.name.startswith(f"{table}.") and check.name.endswith(end)
        for table, (field, end) in ends.items()
    )


def _values(data: bytes, name: str) -> tuple[str, ...]:
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Misconfigured(f"{name}: not a text file", code="policy_file_malformed") from None
    values = tuple(value for line in lines if (value := line.partition("#")[0].strip()))
    if not values:
        raise Misconfigured(
            f"{name}: it lists nothing, so nothing would be accepted",
            code="policy_file_empty",
            fix="add one value a line, or do not name the file",
        )
    return values


def _with(policy: msgspec.Struct, field: str, values: tuple[str, ...], name: str) -> msgspec.Struct:
    """The table with ``values`` in ``field``, checked as if the policy itself had listed them."""
    try:
        return msgspec.convert(msgspec.to_builtins(policy) | {field: values}, type(policy))
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{name}: {error}", code="policy_file_malformed") from error
