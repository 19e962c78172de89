"""NVIDIA's two roots: one for its devices, one for the signers of reference integrity manifests."""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.verify.roots import Root, require_distinct
from hermetic.wire import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class NvidiaRoots:
    """The pinned roots of device chains and of manifests.  Raises Misconfigured for none, or for one that is both."""

    device: tuple[Root, ...]
    manifest: tuple[Root, ...]

    def __post_init__(self) -> None:
        require_distinct(self.device)
        require_distinct(self.manifest)
        # A signer of manifests must not be able to make devices, nor the reverse.
        require_distinct((*self.device, *self.manifest))


def _root(name: str, fingerprint: str) -> Root:
    return Root(name=name, sha256=Digest(f"sha256:{fingerprint}"), vendor="NVIDIA")


# As published in NVIDIA's own verifiers; valid until 9999 and until 2053.
NVIDIA_ROOTS = NvidiaRoots(
    device=(_root("NVIDIA Device Identity CA", "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"),),
    manifest=(
        _root("NVIDIA CoRIM signing Root CA", "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"),
    ),
)
