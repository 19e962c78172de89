"""A policy's file, read: TOML with its types, and the files that it names.

    version = 1
    profile = "production"                     # or "development"
    log_keys = ["broker.example+1234abcd+AQ…"] # logs that receipts must stand in (C2SP verifier keys)

    [workload]                                 # what may run
    services = ["clinic-chat"]
    programs = ["sha256:…"]                    # hermetic measure server.toml
    configs  = ["sha256:…"]
    models   = ["sha256:…"]                    # manifest digests
    broker_keys = ["ed25519:…"]
    argv = ["hermetic", "serve", "--config", "server.toml"]

    [snp]                                      # on what it may run: one table for each TEE that is wanted
    measurements = ["…"]                       # (hermetic.policy.snp, .tdx, .sgx)

    [nvidia]                                   # and with which devices (hermetic.policy.nvidia)
    gpus = 1

    [release]                                  # values that somebody else signed (hermetic.policy.reference)
    file = "release.json"

Unknown fields refuse, and so does a policy that pins nothing: an empty list never means "anything".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from hermetic.errors import Malformed, Misconfigured
from hermetic.identity import parse_ed25519
from hermetic.policy.lists import Files, PolicyFile, read_lists, read_named
from hermetic.policy.nvidia import NvidiaPolicy
from hermetic.policy.reference import ReferenceValues, ReleasePolicy, merge
from hermetic.policy.sgx import SgxPolicy
from hermetic.policy.snp import SnpPolicy
from hermetic.policy.tdx import TdxPolicy
from hermetic.wire import Digest, canonical, is_digest, parse_toml, sha256_digest

Profile = Literal["production", "development"]
TABLES = ("workload", "snp", "tdx", "sgx", "nvidia")

_LOG_KEY = re.compile(r"[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*")


class WorkloadPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which launch documents are wanted, field by field.  Every field of the document is judged by one of these.

    ``models`` empty means the workload may serve no model; ``broker_keys`` empty that it may take keys from no broker.
    """

    services: tuple[str, ...]
    programs: tuple[str, ...]
    configs: tuple[str, ...]
    argv: tuple[str, ...]
    models: tuple[str, ...] = ()
    broker_keys: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    outbound: dict[str, str] = {}


class _Toml(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    profile: Profile
    workload: WorkloadPolicy | None = None
    snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    sgx: SgxPolicy | None = None
    nvidia: NvidiaPolicy | None = None
    release: ReleasePolicy | None = None
    simulated_root: str | None = None
    log_keys: tuple[str, ...] = ()
    max_keyset_hours: int = 24 * 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a policy's file and the files it names say together.  Nobody has linted it."""

    digest: Digest
    profile: Profile
    workload: WorkloadPolicy | None
    snp: SnpPolicy | None
    tdx: TdxPolicy | None
    sgx: SgxPolicy | None
    nvidia: NvidiaPolicy | None
    release: ReferenceValues | None
    files: tuple[PolicyFile, ...]
    simulated_root: str | None
    log_keys: tuple[str, ...]
    max_keyset_hours: int

    @property
    def has_workload(self) -> bool:
        return self.workload is not None


def read_document(data: bytes, *, name: str, files: Files | None) -> Document:
    """Reads the policy in ``data``, and with ``files`` those that it names.  Raises Misconfigured."""
    try:
        document = msgspec.convert(parse_toml(data, what=name), _Toml)
    except Malformed as error:
        raise Misconfigured(error.message, code="policy_malformed") from error
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{name}: {error}", code="policy_malformed") from error
    tables: dict[str, Any] = {table: getattr(document, table) for table in TABLES}
    tables, read = read_lists(tables, files)
    release = None
    if document.release is not None:
        signed = read_named(document.release.file, files)
        release = document.release.open(signed)
        tables = merge(tables, release)
        file = PolicyFile(field="release.file", name=document.release.file, digest=sha256_digest(signed))
        read = (*read, file)
    _well_spelt(document, tables["workload"], name)
    return Document(
        digest=_digest(data, read),
        profile=document.profile,
        **tables,
        release=release,
        files=read,
        simulated_root=document.simulated_root,
        log_keys=document.log_keys,
        max_keyset_hours=document.max_keyset_hours,
    )


def _digest(data: bytes, files: tuple[PolicyFile, ...]) -> Digest:
    """Names everything that a verdict rests on.

    Without other files it is the SHA-256 of the policy's own, so that ``sha256sum policy.toml`` shows the same.
    """
    own = sha256_digest(data)
    if not files:
        return own
    named = {file.field: {"name": file.name, "digest": file.digest} for file in files}
    return sha256_digest(canonical({"version": "hermetic.policy.v1", "policy": own, "files": named}))


def _well_spelt(document: _Toml, workload: WorkloadPolicy | None, name: str) -> None:
    """Digests and keys have their one spelling, so that a typing slip refuses here and not by never matching."""
    nvidia = document.nvidia
    roots = {
        "simulated_root": document.simulated_root,
        "nvidia.simulated_device_root": None if nvidia is None else nvidia.simulated_device_root,
        "nvidia.simulated_manifest_root": None if nvidia is None else nvidia.simulated_manifest_root,
    }
    digests: dict[str, tuple[str, ...]] = {field: (root,) for field, root in roots.items() if root is not None}
    if workload is not None:
        digests |= {
            "workload.programs": workload.programs,
            "workload.configs": workload.configs,
            "workload.models": workload.models,
            "workload.outbound": tuple(workload.outbound.values()),
        }
    for field, values in digests.items():
        if not all(is_digest(value) for value in values):
            raise Misconfigured(
                f"{name}: {field} holds something that is not sha256:<64 lowercase hex digits>", code="policy_malformed"
            )
    if not all(_LOG_KEY.fullmatch(key) for key in document.log_keys):
        raise Misconfigured(f"{name}: log_keys holds something that is not name+hash+key", code="policy_malformed")
    try:
        for key in () if workload is None else workload.broker_keys:
            parse_ed25519(key, what="workload.broker_keys")
    except Malformed as error:
        raise Misconfigured(f"{name}: {error.message}", code="policy_malformed") from error
