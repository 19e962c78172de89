"""The firmware identity (FWID) that a device's boot ROM wrote into the certificate of the key that signs reports.

DICE (TCG): each layer measures the next and certifies its key together with that measurement.  Hopper and the switches
write a composite device identity, Blackwell a TcbInfo; both hold a digest of the same kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from hermetic.errors import Malformed
from hermetic.evidence._der import OCTETS, SEQUENCE, Node, context, read_der

_COMPOSITE = "2.23.133.5.4.1"
_TCB_INFO = "2.23.133.5.4.1.1"
_FWIDS = context(6)
_SHA384 = "2.16.840.1.101.3.4.2.2"


def leaf_fwid(extensions: Mapping[str, bytes]) -> bytes:
    """The digest, from the DER of the certificate's extensions.  Raises Malformed where there are none, or two."""
    composite, tcb_info = extensions.get(_COMPOSITE), extensions.get(_TCB_INFO)
    if (composite is None) == (tcb_info is None):
        raise Malformed("NVIDIA certificate: expected one statement of the firmware's identity")
    if composite is not None:
        # Version, the key of the device, the identity.
        parts = read_der(composite).children()
        if len(parts) != 3:
            raise Malformed("NVIDIA certificate: not a composite device identity")
        return _digest(parts[2])
    lists = [node for node in read_der(tcb_info or b"").children() if node.tag == _FWIDS]
    if len(lists) != 1:
        raise Malformed("NVIDIA certificate: expected one list of firmware identities")
    # The first is the layer that holds the key; what follows is for layers that this device does not have.
    layers = lists[0].children(_FWIDS)
    if not layers:
        raise Malformed("NVIDIA certificate: the list of firmware identities holds nothing")
    return _digest(layers[0])


def _digest(fwid: Node) -> bytes:
    """Of a FWID: the algorithm, which must be SHA-384, and the digest."""
    members = fwid.children(SEQUENCE)
    if len(members) != 2 or members[0].oid() != _SHA384:
        raise Malformed("NVIDIA certificate: the firmware's identity is not a SHA-384 digest")
    return members[1].require(OCTETS)
