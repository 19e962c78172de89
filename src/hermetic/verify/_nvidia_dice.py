"""The firmware identity (FWID) that a device's boot ROM wrote into the certificate of the key that signs reports.

DICE (TCG): each layer measures the next and certifies its key together with that measurement.  Hopper and the switches
write a composite device identity, Blackwell a TcbInfo; both hold a digest of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hermetic.errors import Malformed

_COMPOSITE = "2.23.133.5.4.1"
_TCB_INFO = "2.23.133.5.4.1.1"
_SEQUENCE, _OCTETS, _FWIDS = 0x30, 0x04, 0xA6
_SHA384 = bytes.fromhex("0609608648016503040202")


def leaf_fwid(extensions: Mapping[str, bytes]) -> bytes:
    """The digest, from the DER of the certificate's extensions.  Raises Malformed where there are none, or two."""
    composite, tcb_info = extensions.get(_COMPOSITE), extensions.get(_TCB_INFO)
    if (composite is None) == (tcb_info is None):
        raise Malformed("NVIDIA certificate: expected one statement of the firmware's identity")
    if composite is not None:
        # Version, the key of the device, the identity.
        parts = list(_elements(_only(composite, _SEQUENCE)))
        if [tag for tag, _ in parts] != [0x02, _SEQUENCE, _SEQUENCE]:
            raise Malformed("NVIDIA certificate: not a composite device identity")
        return _digest(parts[2][1])
    lists = [content for tag, content in _elements(_only(tcb_info or b"", _SEQUENCE)) if tag == _FWIDS]
    if len(lists) != 1:
        raise Malformed("NVIDIA certificate: expected one list of firmware identities")
    # The first is the layer that holds the key; what follows is for layers that this device does not have.
    tag, content = next(_elements(lists[0]), (0, b""))
    if tag != _SEQUENCE:
        raise Malformed("NVIDIA certificate: the list of firmware identities holds something else, or nothing")
    return _digest(content)


def _digest(content: bytes) -> bytes:
    """Of a FWID: the algorithm, which must be SHA-384, and the digest."""
    if not content.startswith(_SHA384):
        raise Malformed("NVIDIA certificate: the firmware's identity is not a SHA-384 digest")
    return _only(content[len(_SHA384) :], _OCTETS)


def _only(der: bytes, tag: int) -> bytes:
    """The content of one element of this kind, with nothing after it."""
    elements = list(_elements(der))
    if [kind for kind, _ in elements] != [tag]:
        raise Malformed("NVIDIA certificate: a DICE extension is not what it should be")
    return elements[0][1]


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element in a row: one-byte tags, lengths below 65536 in their shortest form."""
    at = 0
    while at < len(der):
        tag, head, length = der[at], der[at + 1 : at + 4].ljust(3, b"\0"), 0
        size = 1
        if head[0] < 0x80:
            length = head[0]
        elif head[0] == 0x81 and head[1] >= 0x80:
            size, length = 2, head[1]
        elif head[0] == 0x82 and head[1]:
            size, length = 3, int.from_bytes(head[1:3], "big")
        else:
            raise Malformed("NVIDIA certificate: a length is not in its shortest form")
        start = at + 1 + size
        if tag & 0x1F == 0x1F or start + length > len(der):
            raise Malformed("NVIDIA certificate: a DICE extension ends too early")
        yield tag, der[start : start + length]
        at = start + length
