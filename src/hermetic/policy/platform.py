"""On what it may run: the part of a policy that judges platforms and devices, with or without a workload on them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from hermetic.errors import Misconfigured, NotAcceptable
from hermetic.policy._document import Document, Profile, read_document
from hermetic.policy.lists import Files, PolicyFile, beside
from hermetic.policy.nvidia import NvidiaPolicy
from hermetic.policy.reference import ReferenceValues
from hermetic.policy.sgx import SgxPolicy
from hermetic.policy.snp import SnpPolicy
from hermetic.policy.tdx import TdxPolicy
from hermetic.verify import AMD_ROOTS, INTEL_ROOTS, Root, simulated_root
from hermetic.verify.nvidia import NVIDIA_ROOTS, NvidiaRoots, simulated_nvidia_roots
from hermetic.wire import Digest

__all__ = ["PlatformPolicy", "read_policy", "trusted_roots"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformPolicy:
    """Which platforms and devices are wanted.  Make one with :meth:`load` or :meth:`parse`, which lint it too.

    There is a table for each TEE that is wanted; the others are None, and what they would judge is refused.  ``digest``
    is the SHA-256 of the exact file, so that ``sha256sum policy.toml`` shows the same; where the policy names other
    ``files`` it covers those too.  ``release`` holds what somebody else signed, already part of the tables.

    ``has_workload`` is whether the file also says what may run.  Nothing here judges that, so whoever appraises a
    platform alone by such a policy has to say that it was left out.
    """

    digest: Digest
    profile: Profile
    snp: SnpPolicy | None = None
    tdx: TdxPolicy | None = None
    sgx: SgxPolicy | None = None
    nvidia: NvidiaPolicy | None = None
    release: ReferenceValues | None = None
    files: tuple[PolicyFile, ...] = ()
    simulated_root: str | None = None
    has_workload: bool = False

    @classmethod
    def load(cls, path: Path | str) -> PlatformPolicy:
        """Reads a policy file, with or without a workload, and the files beside it that it names.

        Raises Misconfigured naming the field or the lint that refuses it.
        """
        return cls.parse(read_policy(path), name=str(path), files=beside(Path(path)))

    @classmethod
    def parse(cls, data: bytes, *, name: str = "policy", files: Files | None = None) -> PlatformPolicy:
        """Parses and lints.  ``files`` reads those that the policy names; without it such a policy refuses.

        Raises Misconfigured.
        """
        from hermetic.policy.lint import require_sound

        return require_sound(cls.parse_unlinted(data, name=name, files=files), name)

    @classmethod
    def parse_unlinted(cls, data: bytes, *, name: str = "policy", files: Files | None = None) -> PlatformPolicy:
        """Parses only: for ``hermetic policy lint``, which wants to show every finding."""
        return cls.of(read_document(data, name=name, files=files))

    @classmethod
    def of(cls, document: Document) -> PlatformPolicy:
        """What a document says of platforms and devices."""
        return cls(**{field.name: getattr(document, field.name) for field in fields(cls)})

    @property
    def tees(self) -> tuple[str, ...]:
        """The TEEs that have a table, in words."""
        tables = {"SEV-SNP": self.snp, "TDX": self.tdx, "SGX": self.sgx}
        return tuple(name for name, table in tables.items() if table is not None)

    def roots(self, *, allow_simulated: bool) -> tuple[Root, ...]:
        """The roots of platforms that this policy trusts.

        A simulated one only when the caller says so *and* the policy pins which: two different people's yes.
        Raises NotAcceptable when the caller allows simulation and the policy pins none, neither here nor of devices.
        """
        real = (*AMD_ROOTS, *INTEL_ROOTS)
        if not allow_simulated:
            return real
        if self.simulated_root is not None:
            return (*real, simulated_root(self.simulated_root))
        if self._simulated_devices() is None:
            raise NotAcceptable(
                "simulation is allowed by the caller, but the policy pins no simulated_root",
                code="simulated_root_unpinned",
                fix='add simulated_root = "sha256:…" (hermetic simulator root prints it) to a development policy',
            )
        return real

    def device_roots(self, *, allow_simulated: bool) -> NvidiaRoots:
        """The roots of devices and of their manifests that this policy trusts, by the same two yeses."""
        simulated = self._simulated_devices()
        if not allow_simulated or simulated is None:
            return NVIDIA_ROOTS
        return NvidiaRoots(
            device=(*NVIDIA_ROOTS.device, *simulated.device), manifest=(*NVIDIA_ROOTS.manifest, *simulated.manifest)
        )

    def simulated_roots(self) -> tuple[tuple[Root, ...], NvidiaRoots]:
        """The pinned simulators' roots, and no vendor's: for whoever takes simulated evidence and no other.

        Raises Misconfigured where the policy pins none for what it has a table for.
        """
        devices = self._simulated_devices()
        if self.simulated_root is None:
            raise _unpinned("simulated_root")
        if devices is None and self.nvidia is not None:
            raise _unpinned("simulated_device_root and simulated_manifest_root under [nvidia]")
        return (simulated_root(self.simulated_root),), devices or NVIDIA_ROOTS

    def _simulated_devices(self) -> NvidiaRoots | None:
        table = self.nvidia
        if table is None or table.simulated_device_root is None or table.simulated_manifest_root is None:
            return None
        return simulated_nvidia_roots(table.simulated_device_root, table.simulated_manifest_root)


def read_policy(path: Path | str) -> bytes:
    """The file's bytes.  Raises Misconfigured."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misconfigured(
            f"cannot read the policy {path}: {error.strerror}",
            code="policy_unreadable",
            fix="ask the vendor for theirs; to try things: hermetic policy new URL > policy.toml",
        ) from error


class _Trusting(Protocol):
    """A policy, with or without a workload."""

    def roots(self, *, allow_simulated: bool) -> tuple[Root, ...]:
        """Of platforms."""

    def device_roots(self, *, allow_simulated: bool) -> NvidiaRoots:
        """Of devices and of their manifests."""


def trusted_roots(policy: _Trusting | None, *, allow_simulated: bool) -> tuple[tuple[Root, ...], NvidiaRoots]:
    """Of platforms and of devices: those that ``policy`` trusts; where there is none, the vendors' alone.

    Raises NotAcceptable as :meth:`PlatformPolicy.roots`.
    """
    if policy is None:
        return (*AMD_ROOTS, *INTEL_ROOTS), NVIDIA_ROOTS
    return policy.roots(allow_simulated=allow_simulated), policy.device_roots(allow_simulated=allow_simulated)


def _unpinned(what: str) -> Misconfigured:
    return Misconfigured(
        f"the policy pins no {what}",
        code="simulated_root_unpinned",
        fix='add simulated_root = "sha256:…" to a development policy (hermetic simulator root prints it)',
    )
