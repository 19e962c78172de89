"""The roots that verification may end at, pinned by the SHA-256 of the whole certificate.

A root is never taken from evidence: evidence carries the certificate, and only its digest decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from hermetic.errors import Misconfigured
from hermetic.evidence import Product
from hermetic.wire import Digest, is_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A pinned root certificate.  ``sha256`` is over its DER; ``product`` is None where one root may serve any."""

    name: str
    sha256: Digest
    vendor: str
    product: Product | None = None
    simulated: bool = False


def _ark(product: Product, fingerprint: str) -> Root:
    return Root(name=f"ARK-{product}", sha256=Digest(f"sha256:{fingerprint}"), vendor="AMD", product=product)


# From https://kdsintf.amd.com/vcek/v1/{product}/cert_chain; they are valid until 2045, 2047 and 2048.
AMD_ROOTS = (
    _ark(Product.MILAN, "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
    _ark(Product.GENOA, "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
    _ark(Product.TURIN, "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
)

# From https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer; valid until 2049.
INTEL_ROOTS = (
    Root(
        name="Intel SGX Root CA",
        sha256=Digest("sha256:44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"),
        vendor="Intel",
    ),
)


def names_of(roots: tuple[Root, ...]) -> str:
    """For a person: every one of them, and how its digest begins."""
    return " or ".join(f"{root.name} {root.sha256[:19]}…" for root in roots)


def require_distinct(roots: tuple[Root, ...]) -> None:
    """Raises Misconfigured for no roots at all, and for one digest under two names (simulated *and* real, say)."""
    if not roots:
        raise Misconfigured(
            "no roots to verify against, so nothing could be authentic",
            fix="give a vendor's or a policy's roots",
        )
    if len({root.sha256 for root in roots}) != len(roots):
        raise Misconfigured("the same root is given twice; what it proves would depend on which is found first")


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


def _nvidia(name: str, fingerprint: str) -> Root:
    return Root(name=name, sha256=Digest(f"sha256:{fingerprint}"), vendor="NVIDIA")


# As published in NVIDIA's own verifiers; valid until 9999 and until 2053.
NVIDIA_ROOTS = NvidiaRoots(
    device=(_nvidia("NVIDIA Device Identity CA", "102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"),),
    manifest=(
        _nvidia("NVIDIA CoRIM signing Root CA", "12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"),
    ),
)

_REAL = frozenset(root.sha256 for root in (*AMD_ROOTS, *INTEL_ROOTS, *NVIDIA_ROOTS.device, *NVIDIA_ROOTS.manifest))


def simulated_root(digest: str) -> Root:
    """The root of one simulator installation, from a relying party's own pin (``sha256:…``).

    Everything that verifies under it is simulated.  Raises Misconfigured for a bad digest and for a real vendor's root.
    """
    if not is_digest(digest):
        raise Misconfigured("a simulated root is pinned as sha256: and 64 lowercase hex digits")
    if digest in _REAL:
        raise Misconfigured("this is the root of real hardware; it cannot be pinned as a simulated one")
    return Root(name="simulator", sha256=Digest(digest), vendor="Hermetic simulator", simulated=True)


def simulated_nvidia_roots(device: str, manifest: str) -> NvidiaRoots:
    """The two roots of a simulator that plays NVIDIA, from a relying party's own pins, and no other.

    Raises Misconfigured as :func:`simulated_root` does, and where the two are one.
    """
    return NvidiaRoots(device=(simulated_root(device),), manifest=(simulated_root(manifest),))
