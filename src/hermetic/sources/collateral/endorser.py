"""Completes evidence with what its vendor says about it, so that it can be verified offline: here, or years later.

    bundle ─what it needs→ questions ─came along, folder, cache, vendor→ documents → the bundle, endorsed

The endorser believes nothing and decides nothing.  What it brings is verified like what came along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

from hermetic.errors import Misconfigured
from hermetic.evidence import SEV_SNP, SGX, TDX, EvidenceBundle
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collateral.amd import amd_wanted
from hermetic.sources.collateral.cache import FolderCache, MemoryCache
from hermetic.sources.collateral.fetch import Fetcher, Patience
from hermetic.sources.collateral.folder import CollateralFolder
from hermetic.sources.collateral.intel import intel_wanted
from hermetic.sources.collateral.nvidia import manifests_wanted, statuses_wanted, without_outdated
from hermetic.sources.collateral.question import Missing
from hermetic.sources.collateral.services import Services
from hermetic.sources.collateral.supply import Obtained, Supply, Wanted
from hermetic.sources.collateral.timed import Deadline

__all__ = ["Endorsed", "Endorser"]

B = TypeVar("B", EvidenceBundle, DeviceBundle)

# One entry for each kind of evidence whose vendor publishes something about it.
_WANTED = {SEV_SNP: amd_wanted, TDX: intel_wanted, SGX: intel_wanted}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed(Generic[B]):
    """A bundle with everything that it needs, and where each document came from."""

    bundle: B
    obtained: tuple[Obtained, ...]

    @property
    def stale(self) -> tuple[Obtained, ...]:
        """What does not hold at the time that it was wanted for: verification at that time refuses it."""
        return tuple(document for document in self.obtained if document.stale)


class Endorser:
    """The vendors' services behind a cache.  Safe to share between threads; blocking.

    ``cache_dir`` is a folder that processes may share; None keeps answers in memory.  ``folder`` holds files that
    somebody downloaded.  ``offline`` asks nobody.  A document that expires within ``ahead`` is asked for again, and
    used all the same where the vendor does not answer.

    Times are parameters, aware and in UTC: the caller says for when the evidence is to be endorsed.
    """

    def __init__(
        self,
        cache_dir: Path | None,
        *,
        services: Services | None = None,
        offline: bool = False,
        folder: Path | None = None,
        ahead: timedelta = timedelta(0),
        patience: Patience | None = None,
    ) -> None:
        """Raises Misconfigured where a folder cannot be used."""
        if ahead < timedelta(0):
            raise Misconfigured("ahead: how long before its end a document is asked for again, so not below zero")
        self._services = services or Services()
        self._patience = patience or Patience()
        self._fetcher = None if offline else Fetcher(self._services.origins, patience=self._patience)
        self._supply = Supply(
            MemoryCache() if cache_dir is None else FolderCache(cache_dir),
            self._fetcher,
            folder=None if folder is None else CollateralFolder(folder),
            ahead=ahead,
        )

    def __enter__(self) -> Endorser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives connections back."""
        if self._fetcher is not None:
            self._fetcher.close()

    def endorse(self, bundle: EvidenceBundle, *, now: datetime) -> EvidenceBundle:
        """``bundle`` with what was missing or does not hold at ``now``.  Raises as :meth:`complete` does."""
        return self.complete(bundle, now=now).bundle

    def endorse_device(self, bundle: DeviceBundle, *, now: datetime, ocsp_nonce: bytes | None = None) -> DeviceBundle:
        """The same for a device.  Raises as :meth:`complete_device` does."""
        return self.complete_device(bundle, now=now, ocsp_nonce=ocsp_nonce).bundle

    def complete(self, bundle: EvidenceBundle, *, now: datetime, allow_stale: bool = False) -> Endorsed[EvidenceBundle]:
        """The endorsed bundle, and where each document came from.

        A vendor's answer is taken as it is, even if it does not hold at ``now``; what was kept and no longer holds only
        with ``allow_stale``.  Raises CollateralUnavailable, which names all that is missing and where it is to be had;
        Malformed for evidence that cannot be read and for a vendor's answer that cannot be right; Misconfigured where
        the evidence does not say its product.
        """
        _require_utc(now)
        obtained = self._supply.obtain(
            self._wanted(bundle), now, Deadline(self._patience.total), allow_stale=allow_stale
        )
        endorsements = dict(bundle.endorsements)
        for document in obtained:
            endorsements |= document.parts
        return Endorsed(bundle=replace(bundle, endorsements=endorsements), obtained=obtained)

    def complete_device(
        self, bundle: DeviceBundle, *, now: datetime, ocsp_nonce: bytes | None = None, allow_stale: bool = False
    ) -> Endorsed[DeviceBundle]:
        """The same for a device: its manifests, then an answer about every certificate that could be revoked.

        With ``ocsp_nonce`` the answers are asked for anew and repeat it.  Lists and answers that came along and do not
        hold at ``now`` are left out, because a verifier refuses them even beside others.  Raises as :meth:`complete`
        does, NotAuthentic for a device that is not known, Misconfigured where lxml is not installed.
        """
        _require_utc(now)
        deadline = Deadline(self._patience.total)
        manifests = self._supply.obtain(
            manifests_wanted(bundle, self._services), now, deadline, allow_stale=allow_stale
        )
        rims = {name: part for document in manifests for name, part in document.parts.items()}
        held = without_outdated(bundle, now, nonce=ocsp_nonce)
        wanted = statuses_wanted(bundle, rims, self._services, lists=held.crls, nonce=ocsp_nonce)
        statuses = self._supply.obtain(wanted, now, deadline, allow_stale=allow_stale)
        answers = dict.fromkeys((*held.ocsp, *(document.parts["ocsp"] for document in statuses)))
        return Endorsed(bundle=replace(held, rims=rims, ocsp=tuple(answers)), obtained=(*manifests, *statuses))

    def missing(self, bundle: EvidenceBundle | DeviceBundle, *, now: datetime) -> tuple[Missing, ...]:
        """What is not at hand for ``now`` and would have to be fetched; nobody is asked.

        Whose signatures a manifest needs answers about shows only in the manifest.  Raises as :meth:`complete` does,
        but for what is missing.
        """
        _require_utc(now)
        if isinstance(bundle, EvidenceBundle):
            return self._not_at_hand(self._wanted(bundle), now)
        manifests = manifests_wanted(bundle, self._services)
        found = [here for wanted in manifests if (here := self._supply.at_hand(wanted, now))]
        rims = {name: part for document in found for name, part in document.parts.items()}
        lists = without_outdated(bundle, now, nonce=None).crls
        statuses = statuses_wanted(bundle, rims, self._services, lists=lists)
        return self._not_at_hand((*manifests, *statuses), now)

    def _wanted(self, bundle: EvidenceBundle) -> tuple[Wanted, ...]:
        return _WANTED[bundle.tee](bundle, self._services)

    def _not_at_hand(self, all_wanted: tuple[Wanted, ...], now: datetime) -> tuple[Missing, ...]:
        return tuple(wanted.question.missing("") for wanted in all_wanted if self._supply.at_hand(wanted, now) is None)


def _require_utc(now: datetime) -> None:
    if now.utcoffset() != timedelta(0):
        raise Misconfigured("now must be an aware datetime in UTC")
