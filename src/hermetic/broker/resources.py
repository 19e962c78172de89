"""Resources as they stand: which versions there are, and who may have them.

Policy and versions are read from files when the broker starts or reloads.  When they differ from what stood before, the
change becomes an entry of the log and a new policy epoch, before the first decision under it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.broker.config import ResourceClass, ResourceConfig
from hermetic.broker.journal import Record
from hermetic.broker.making import Keeper
from hermetic.broker.store import Store
from hermetic.errors import Misconfigured, NotReleased, Refused
from hermetic.identity import format_ed25519
from hermetic.policy import Accepted, Policy
from hermetic.release import Standing
from hermetic.seal import FileKey, Header, ResourceVersion, SignedVersion, unwrap
from hermetic.verify import Root
from hermetic.verify.nvidia import NvidiaRoots
from hermetic.wire import Digest, canonical, sha256_digest

__all__ = ["Resource", "stand", "standing_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A resource as it stands.

    ``roots`` and ``device_roots`` follow from its class alone, so that evidence of the other kind is not even authentic
    here.  ``signed`` are the digests of the owner's statements behind ``versions``.
    """

    keeper: Keeper
    policy: Policy
    roots: tuple[Root, ...]
    device_roots: NvidiaRoots
    versions: Mapping[str, ResourceVersion]
    signed: tuple[Digest, ...]

    @property
    def name(self) -> str:
        return self.keeper.name

    @property
    def digest(self) -> Digest:
        """Names what a decision rests on: policy and versions."""
        return sha256_digest(canonical({"policy": self.policy.digest, "versions": list(self.signed)}))

    def version(self, version: str) -> ResourceVersion:
        """Raises NotReleased if the owner signed none of that name."""
        found = self.versions.get(version)
        if found is None:
            raise NotReleased(
                f"{self.name} has no version {version}",
                code="version.unknown",
                fix="add the owner-signed version to `versions` in broker.toml and reload the broker",
            )
        return found

    def unlock(self, version: ResourceVersion, headers: Sequence[Header], *, to: Accepted) -> tuple[FileKey, ...]:
        """The file keys of ``headers``, for a workload that this resource's own policy accepted.

        A header that the owner's version does not list is refused before the identity touches it: unwrapping whatever
        comes would be a decryption oracle.  Raises NotReleased, or NotAuthentic where a header does not open.
        """
        if to.policy_digest != self.policy.digest:
            raise NotReleased(f"accepted under another policy than that of {self.name}", code="policy.other")
        listed = frozenset(version.headers)
        for header in headers:
            if header.digest not in listed:
                raise NotReleased(
                    f"{self.name} {version.version} has no file with the header {header.digest}",
                    code="header.unlisted",
                    fix="the workload's files are not the ones that the owner sealed and signed for this version",
                )
        return tuple(unwrap(header, self.keeper.identity) for header in headers)


def stand(config: ResourceConfig, keeper: Keeper) -> Resource:
    """Reads policy and versions.  Raises Misconfigured naming the file that is wrong and what is wrong with it."""
    policy = Policy.load(config.policy)
    versions: dict[str, ResourceVersion] = {}
    signed = []
    for path in config.versions:
        statement, version = _read_version(path, config)
        if version.version in versions:
            raise Misconfigured(f"{path}: {config.name} has two versions {version.version}", code="version_twice")
        versions[version.version] = version
        signed.append(statement.digest)
    roots, device_roots = _roots(config, policy)
    return Resource(
        keeper=keeper,
        policy=policy,
        roots=roots,
        device_roots=device_roots,
        versions=versions,
        signed=tuple(sorted(signed)),
    )


def standing_records(
    resources: Iterable[Resource], *, store: Store, key: Ed25519PrivateKey, at: int
) -> tuple[Record, ...]:
    """One record for each resource that stands under something else than it last did; they share the next epoch."""
    epoch = store.policy_epoch() + 1
    changed = [resource for resource in resources if store.standing(resource.name) != resource.digest]
    return tuple(_standing_record(resource, epoch, key=key, at=at) for resource in changed)


def _standing_record(resource: Resource, epoch: int, *, key: Ed25519PrivateKey, at: int) -> Record:
    def store_standing(store: Store, log_index: int) -> None:
        store.add_standing(log_index=log_index, resource=resource.name, policy_epoch=epoch, digest=resource.digest)

    standing = Standing(
        at=at,
        broker_key=format_ed25519(key.public_key().public_bytes_raw()),
        resource=resource.name,
        policy_epoch=epoch,
        policy_digest=resource.policy.digest,
        versions=resource.signed,
    )
    return Record.of(standing, at=at, key=key, also=store_standing)


def _roots(config: ResourceConfig, policy: Policy) -> tuple[tuple[Root, ...], NvidiaRoots]:
    """Hardware trusts the vendors, and a simulated resource the simulators that its policy pins; never both.

    A development policy may take debuggable or forgeable hardware, so it opens nothing of class hardware.
    """
    if config.resource_class is ResourceClass.HARDWARE:
        if policy.profile != "production":
            raise Misconfigured(
                f"{config.policy}: {config.name} is of class hardware, and its policy is for {policy.profile}",
                code="hardware_profile",
                fix='write a policy with profile = "production"; hermetic policy lint says what it needs',
            )
        return policy.roots(allow_simulated=False), policy.device_roots(allow_simulated=False)
    try:
        return policy.platform.simulated_roots()
    except Misconfigured as error:
        raise Misconfigured(
            f"{config.policy}: {config.name} is a simulated resource, and {error.message}",
            code=error.code,
            fix=error.fix,
        ) from error


def _read_version(path: Path, config: ResourceConfig) -> tuple[SignedVersion, ResourceVersion]:
    try:
        statement = SignedVersion.parse(path.read_bytes())
        version = statement.verify(owner=config.owner)
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}", code="version_unreadable") from error
    except Refused as error:
        raise Misconfigured(
            f"{path}: {error.message}",
            code=f"version_{error.code}",
            fix=f"only {config.owner} can sign versions of {config.name}",
        ) from error
    if version.resource != config.name:
        raise Misconfigured(f"{path} is a version of {version.resource}, not of {config.name}", code="version_resource")
    return statement, version
