"""A policy: what may run, and on what.  Typed TOML, strict, default deny (design.md D8).

The file's form is told in :mod:`hermetic.policy._document`, each table's in the module of its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hermetic.errors import Misconfigured
from hermetic.policy._document import Profile, WorkloadPolicy, read_document
from hermetic.policy.lists import Files, beside
from hermetic.policy.platform import PlatformPolicy, read_policy
from hermetic.verify import Root
from hermetic.verify.nvidia import NvidiaRoots
from hermetic.wire import Digest

__all__ = ["Policy", "Profile", "WorkloadPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy that parsed and passed its own lint.  Make one with :meth:`load` or :meth:`parse`.

    ``log_keys`` are the logs that receipts must stand in, as C2SP verifier keys; they say nothing about sessions.
    """

    platform: PlatformPolicy
    workload: WorkloadPolicy
    log_keys: tuple[str, ...]
    max_keyset_hours: int

    @classmethod
    def load(cls, path: Path | str) -> Policy:
        """Reads a policy file and the files beside it that it names.

        Raises Misconfigured naming the field or the lint that refuses it.
        """
        return cls.parse(read_policy(path), name=str(path), files=beside(Path(path)))

    @classmethod
    def parse(cls, data: bytes, *, name: str = "policy", files: Files | None = None) -> Policy:
        """Parses and lints.  ``files`` reads those that the policy names; without it such a policy refuses.

        Raises Misconfigured.
        """
        from hermetic.policy.lint import require_sound

        return require_sound(cls.parse_unlinted(data, name=name, files=files), name)

    @classmethod
    def parse_unlinted(cls, data: bytes, *, name: str = "policy", files: Files | None = None) -> Policy:
        """Parses only: for ``hermetic policy lint``, which wants to show every finding."""
        policy = parse_any(data, name=name, files=files)
        if isinstance(policy, PlatformPolicy):
            raise Misconfigured(
                f"{name}: it has no [workload], so it says on what, and not what may run",
                code="policy_malformed",
                fix="hermetic policy new --launch launch.json writes that table too",
            )
        return policy

    @property
    def digest(self) -> Digest:
        """Names what a verdict rests on: :attr:`PlatformPolicy.digest`."""
        return self.platform.digest

    @property
    def profile(self) -> Profile:
        return self.platform.profile

    def roots(self, *, allow_simulated: bool) -> tuple[Root, ...]:
        """The roots of platforms that it trusts: :meth:`PlatformPolicy.roots`."""
        return self.platform.roots(allow_simulated=allow_simulated)

    def device_roots(self, *, allow_simulated: bool) -> NvidiaRoots:
        """The roots of devices that it trusts: :meth:`PlatformPolicy.device_roots`."""
        return self.platform.device_roots(allow_simulated=allow_simulated)


def parse_any(data: bytes, *, name: str = "policy", files: Files | None = None) -> Policy | PlatformPolicy:
    """Parses only: a policy, or one for platforms alone where there is no ``[workload]``.  Raises Misconfigured."""
    document = read_document(data, name=name, files=files)
    platform = PlatformPolicy.of(document)
    if document.workload is None:
        return platform
    return Policy(
        platform=platform,
        workload=document.workload,
        log_keys=document.log_keys,
        max_keyset_hours=document.max_keyset_hours,
    )
