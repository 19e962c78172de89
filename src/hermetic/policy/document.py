"""A policy: typed TOML, strict, default deny (design.md D8).

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

    [snp]                                      # on what it may run: see hermetic.policy.snp
    measurements = ["…"]

Unknown fields refuse, and so does a policy that pins nothing: an empty list never means "anything".
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from hermetic.errors import Malformed, Misconfigured, NotAcceptable
from hermetic.identity import parse_ed25519
from hermetic.policy.snp import SnpPolicy
from hermetic.verify import AMD_ROOTS, Root, simulated_root
from hermetic.wire import Digest, is_digest, sha256_digest

__all__ = ["Policy", "Profile", "WorkloadPolicy"]

Profile = Literal["production", "development"]

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


class _Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1]
    profile: Profile
    workload: WorkloadPolicy
    snp: SnpPolicy
    simulated_root: str | None = None
    log_keys: tuple[str, ...] = ()
    max_keyset_hours: int = 24 * 7


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that parsed and passed its own lint.  Make one with :meth:`load` or :meth:`parse`.

    ``log_keys`` are the logs that receipts must stand in, as C2SP verifier keys; they say nothing about sessions.
    ``digest`` is the SHA-256 of the exact file, so that ``sha256sum policy.toml`` shows the same.
    """

    digest: Digest
    profile: Profile
    workload: WorkloadPolicy
    snp: SnpPolicy
    simulated_root: str | None
    log_keys: tuple[str, ...]
    max_keyset_hours: int

    @classmethod
    def load(cls, path: Path | str) -> Policy:
        """Reads a policy file.  Raises Misconfigured naming the field or the lint that refuses it."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise Misconfigured(
                f"cannot read the policy {path}: {error.strerror}",
                code="policy_unreadable",
                fix="ask the vendor for theirs; to try things: hermetic policy new URL > policy.toml",
            ) from error
        return cls.parse(data, name=str(path))

    @classmethod
    def parse(cls, data: bytes, *, name: str = "policy") -> Policy:
        """Parses and lints.  Raises Misconfigured."""
        from hermetic.policy.lint import lint

        policy = cls.parse_unlinted(data, name=name)
        errors = [finding for finding in lint(policy) if finding.refuses]
        if errors:
            raise Misconfigured(
                f"{name}: " + "; ".join(finding.message for finding in errors),
                code=errors[0].code,
                fix=errors[0].fix,
            )
        return policy

    @classmethod
    def parse_unlinted(cls, data: bytes, *, name: str = "policy") -> Policy:
        """Parses only: for ``hermetic policy lint``, which wants to show every finding."""
        try:
            document = msgspec.convert(tomllib.loads(data.decode("utf-8")), _Document)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise Misconfigured(f"{name}: {error}", code="policy_malformed") from error
        _well_spelt(document, name)
        return cls(
            digest=sha256_digest(data),
            profile=document.profile,
            workload=document.workload,
            snp=document.snp,
            simulated_root=document.simulated_root,
            log_keys=document.log_keys,
            max_keyset_hours=document.max_keyset_hours,
        )

    def roots(self, *, allow_simulated: bool) -> tuple[Root, ...]:
        """The roots this policy trusts.

        A simulated one only when the caller says so *and* the policy pins which: two different people's yes.
        Raises NotAcceptable when the caller allows simulation and the policy pins none.
        """
        if not allow_simulated:
            return AMD_ROOTS
        if self.simulated_root is None:
            raise NotAcceptable(
                "simulation is allowed by the caller, but the policy pins no simulated_root",
                code="simulated_root_unpinned",
                fix='add simulated_root = "sha256:…" (hermetic simulator root prints it) to a development policy',
            )
        return (*AMD_ROOTS, simulated_root(Digest(self.simulated_root)))


def _well_spelt(document: _Document, name: str) -> None:
    """Digests and keys have their one spelling, so that a typing slip refuses here and not by never matching."""
    workload = document.workload
    digests = {
        "workload.programs": workload.programs,
        "workload.configs": workload.configs,
        "workload.models": workload.models,
        "workload.outbound": tuple(workload.outbound.values()),
        "simulated_root": () if document.simulated_root is None else (document.simulated_root,),
    }
    for field, values in digests.items():
        if not all(is_digest(value) for value in values):
            raise Misconfigured(
                f"{name}: {field} holds something that is not sha256:<64 lowercase hex digits>", code="policy_malformed"
            )
    if not all(_LOG_KEY.fullmatch(key) for key in document.log_keys):
        raise Misconfigured(f"{name}: log_keys holds something that is not name+hash+key", code="policy_malformed")
    try:
        for key in workload.broker_keys:
            parse_ed25519(key, what="workload.broker_keys")
    except Malformed as error:
        raise Misconfigured(f"{name}: {error.message}", code="policy_malformed") from error
