"""The roots that evidence brings along, as simulated ones: for trust on first use, and for nothing else.

Whoever trusts a root because the evidence names it trusts whoever answers.  A vendor's root is left out: it is trusted
as what it is, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hermetic.errors import Misconfigured
from hermetic.evidence import EvidenceBundle, SgxQuote, TdxQuote, parse_evidence
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.evidence.pem import certificates_from_pem
from hermetic.verify import Root, simulated_root
from hermetic.wire import Digest, sha256_digest

if TYPE_CHECKING:
    from hermetic.verify.nvidia import NvidiaRoots

__all__ = ["brought_device_roots", "brought_roots"]


def brought_roots(bundle: EvidenceBundle) -> tuple[Root, ...]:
    """Of a platform: AMD's kind comes with the endorsements, Intel's in the quote.  Raises Malformed."""
    evidence = parse_evidence(bundle)
    if isinstance(evidence, TdxQuote | SgxQuote):
        ders = certificates_from_pem(evidence.signature.pck_chain.rstrip(b"\0"))
        return _simulated([ders[-1]])
    root = bundle.endorsements.get("root")
    return () if root is None else _simulated([root])


def brought_device_roots(devices: tuple[DeviceBundle, ...]) -> NvidiaRoots:
    """NVIDIA's own roots, and those that devices and their manifests bring.  Raises Malformed."""
    from hermetic.verify.nvidia import NVIDIA_ROOTS, NvidiaRoots

    own = _simulated(device.certificates[-1] for device in devices if device.certificates)
    manifests = _simulated(_signers_root(document) for device in devices for document in device.rims.values())
    return NvidiaRoots(device=(*NVIDIA_ROOTS.device, *own), manifest=(*NVIDIA_ROOTS.manifest, *manifests))


def _signers_root(document: bytes) -> bytes:
    from hermetic.verify.rim import read_rim

    return read_rim(document)[1][-1]


def _simulated(roots: Iterable[bytes]) -> tuple[Root, ...]:
    return tuple(_not_real({sha256_digest(der): None for der in roots}))


def _not_real(digests: Iterable[Digest]) -> Iterator[Root]:
    for digest in digests:
        try:
            yield simulated_root(digest)
        except Misconfigured:
            continue  # a vendor's own
