"""Where the vendors' services are.  Nothing they say is believed, so any mirror or cache may stand in their place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal
from urllib.parse import urlsplit

from hermetic.errors import Misconfigured

__all__ = ["Services", "origin_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The addresses that may be asked; no other host ever is.

    ``kds`` is AMD's key distribution service (57230), ``pcs`` Intel's provisioning certification service or a PCCS
    (API v4), ``intel_root_crl`` the whole address of Intel's root's list, ``rim`` and ``ocsp`` are NVIDIA's.
    ``tcb_update`` is Intel's: "early" levels come months before "standard" ones, which leave operators time to update.

    ``http`` addresses are taken as they are written: no trust rests on TLS, it only hides who asks for what.  Raises
    Misconfigured for anything but a plain http or https address.
    """

    kds: str = "https://kdsintf.amd.com"
    pcs: str = "https://api.trustedservices.intel.com"
    intel_root_crl: str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
    rim: str = "https://rim.attestation.nvidia.com"
    ocsp: str = "https://ocsp.ndis.nvidia.com"
    tcb_update: Literal["standard", "early"] = "standard"

    def __post_init__(self) -> None:
        for name in _ADDRESSES:
            address = getattr(self, name).rstrip("/")
            if "?" in address or "#" in address:
                raise Misconfigured(f"{address}: a service's address has no query", code="collateral_url")
            origin_of(address)
            object.__setattr__(self, name, address)
        if self.tcb_update not in ("standard", "early"):
            raise Misconfigured("tcb_update is standard or early")

    @classmethod
    def with_pccs(cls, url: str, *, tcb_update: Literal["standard", "early"] = "standard") -> Services:
        """A PCCS at ``url`` in Intel's place; it has the root's list too."""
        base = url.rstrip("/")
        return cls(pcs=base, intel_root_crl=f"{base}/sgx/certification/v4/rootcacrl", tcb_update=tcb_update)

    @property
    def origins(self) -> frozenset[str]:
        """Scheme, host and port of every service: what a request must be for."""
        return frozenset(origin_of(getattr(self, name)) for name in _ADDRESSES)


_ADDRESSES = tuple(field.name for field in fields(Services) if field.name != "tcb_update")


def origin_of(url: str) -> str:
    """``scheme://host:port`` of an http or https address.  Raises Misconfigured for any other."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        port = None
    if port is None or not parts.hostname or "@" in parts.netloc:
        raise Misconfigured(f"{url}: expected an http or https address, without credentials", code="collateral_url")
    return f"{parts.scheme}://{parts.hostname}:{port}"
