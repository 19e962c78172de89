"""What a PCK certificate says of its platform: Intel's own extension (Intel SGX PCK Certificate profile, 1.3.5).

PCK is the provisioning certification key: the one that vouches for a machine's quoting enclaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hermetic.errors import Malformed
from hermetic.evidence._der import ENUMERATED, INTEGER, OCTETS, Node, read_der

SGX_EXTENSION = "1.2.840.113741.1.13.1"
_PPID, _TCB, _PCEID, _FMSPC, _SGX_TYPE, _INSTANCE, _CONFIGURATION = (f"{SGX_EXTENSION}.{n}" for n in range(1, 8))
_COMPONENTS = tuple(f"{_TCB}.{n}" for n in range(1, 17))
_PCESVN, _CPUSVN = f"{_TCB}.17", f"{_TCB}.18"
_FLAGS = tuple(f"{_CONFIGURATION}.{n}" for n in (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class PckIdentity:
    """Which platform it is and at which level of firmware its key was certified.

    ``ppid`` (16 bytes) is the processor package's identity, ``platform_instance_id`` (16) the platform's, on machines
    of several packages; None elsewhere.  ``fmspc`` (6) is family, model, stepping, platform type and SKU, ``pce_id``
    (2) the provisioning enclave's.  ``components`` are the 16 security versions that levels are compared with.
    ``dynamic_platform``, ``cached_keys`` and ``smt_enabled`` are None where the certificate does not say.
    """

    fmspc: bytes
    pce_id: bytes
    ppid: bytes
    cpu_svn: bytes
    pce_svn: int
    components: tuple[int, ...]
    sgx_type: int
    platform_instance_id: bytes | None = None
    dynamic_platform: bool | None = None
    cached_keys: bool | None = None
    smt_enabled: bool | None = None

    @classmethod
    def from_extensions(cls, extensions: Mapping[str, bytes]) -> PckIdentity:
        """From the DER of the certificate's extensions.  Raises Malformed where Intel's is missing, foreign or odd."""
        if SGX_EXTENSION not in extensions:
            raise Malformed("PCK certificate: it does not say which platform it is for")
        fields = _members(read_der(extensions[SGX_EXTENSION]), required=(_PPID, _TCB, _PCEID, _FMSPC, _SGX_TYPE))
        tcb = _members(fields[_TCB], required=(*_COMPONENTS, _PCESVN, _CPUSVN))
        configuration = _members(fields[_CONFIGURATION], required=()) if _CONFIGURATION in fields else {}
        flags = [configuration[oid].boolean() if oid in configuration else None for oid in _FLAGS]
        return cls(
            fmspc=_octets(fields[_FMSPC], 6),
            pce_id=_octets(fields[_PCEID], 2),
            ppid=_octets(fields[_PPID], 16),
            cpu_svn=_octets(tcb[_CPUSVN], 16),
            pce_svn=_number(tcb[_PCESVN], INTEGER, most=0xFFFF),
            components=tuple(_number(tcb[oid], INTEGER, most=0xFF) for oid in _COMPONENTS),
            sgx_type=_number(fields[_SGX_TYPE], ENUMERATED, most=0xFF),
            platform_instance_id=_octets(fields[_INSTANCE], 16) if _INSTANCE in fields else None,
            dynamic_platform=flags[0],
            cached_keys=flags[1],
            smt_enabled=flags[2],
        )


def _members(node: Node, *, required: tuple[str, ...]) -> dict[str, Node]:
    """SEQUENCE OF SEQUENCE { identifier, value }, each identifier once."""
    members: dict[str, Node] = {}
    for entry in node.children():
        pair = entry.children()
        if len(pair) != 2 or (oid := pair[0].oid()) in members:
            raise Malformed("PCK certificate: expected pairs of an identifier and a value, each identifier once")
        members[oid] = pair[1]
    if missing := [oid for oid in required if oid not in members]:
        raise Malformed(f"PCK certificate: {missing[0]} is missing")
    return members


def _octets(node: Node, length: int) -> bytes:
    if len(octets := node.require(OCTETS)) != length:
        raise Malformed(f"PCK certificate: expected {length} bytes")
    return octets


def _number(node: Node, tag: int, *, most: int) -> int:
    if not 0 <= (number := node.number(tag)) <= most:
        raise Malformed(f"PCK certificate: expected a number from 0 to {most}")
    return number
