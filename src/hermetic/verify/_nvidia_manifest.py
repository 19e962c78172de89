"""What a reference integrity manifest says: for which product and version, and which measurements are right.

NVIDIA's manifests are SWID tags (ISO/IEC 19770-2) with the TCG's RIM attributes.  This reader takes the one shape that
NVIDIA writes and refuses every other, which is stricter than the schema.  It must be given canonical, signed bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hermetic.errors import Malformed
from hermetic.verify._nvidia_xml import parse_xml
from hermetic.wire import unhex

_SWID = "{http://standards.iso.org/iso/19770/-2/2015/schema.xsd}"
_RIM = "{https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/}"
_HASH = "{http://www.w3.org/2001/04/xmlenc#sha384}Hash"
_NVIDIA_ID = "5703"
_SIZE = 48
_MAX_INDEX = 253
_ACTIVE = {"True": True, "False": False}
_PLAIN = {"type", "index", "active", "alternatives", "name", "size"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenMeasurement:
    """One measurement that counts: block ``index`` + 1 of a report must be one of ``values`` (48 bytes each)."""

    index: int
    name: str
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest's content.  ``version`` is what it calls colloquial: of the driver, or of the firmware.

    ``golden`` holds the active measurements only, by ascending index.
    """

    product: str
    edition: str
    version: str
    tag_id: str
    golden: tuple[GoldenMeasurement, ...] = field(repr=False)


def read_manifest(content: bytes) -> Manifest:
    """Raises Malformed on anything but a manifest of NVIDIA's shape."""
    root = parse_xml(content)
    tags = [child.tag for child in root]
    if root.tag != f"{_SWID}SoftwareIdentity" or tags != [f"{_SWID}{name}" for name in ("Entity", "Meta", "Payload")]:
        raise Malformed("manifest: expected a software identity of an entity, its metadata and a payload")
    _, meta, payload = root
    if meta.get(f"{_RIM}PlatformManufacturerId") != _NVIDIA_ID or meta.get(f"{_RIM}BindingSpec") != "RIMIM":
        raise Malformed("manifest: not a reference integrity manifest of NVIDIA's")
    golden = [_resource(element) for element in payload]
    indexes = [index for index, _ in golden]
    if len(set(indexes)) != len(indexes):
        raise Malformed("manifest: a measurement index comes twice")
    return Manifest(
        product=_attribute(meta, "product"),
        edition=_attribute(meta, "edition"),
        version=_attribute(meta, "colloquialVersion"),
        tag_id=_attribute(root, "tagId"),
        golden=tuple(entry for _, entry in sorted(golden, key=lambda pair: pair[0]) if entry is not None),
    )


def _resource(element: Any) -> tuple[int, GoldenMeasurement | None]:
    """One entry of the payload: its index, and the measurement if it is active."""
    if element.tag != f"{_SWID}Resource" or len(element) or element.get("type") != "Measurement":
        raise Malformed("manifest: the payload holds something that is not a measurement")
    index, count = _number(element, "index", _MAX_INDEX), _number(element, "alternatives", 64)
    active = _ACTIVE.get(element.get("active"))
    if active is None or _number(element, "size", 64) != _SIZE:
        raise Malformed(f"manifest: measurement {index} is neither active nor inactive, or is not {_SIZE} bytes long")
    names = [f"{_HASH}{n}" for n in range(count)]
    # An attribute that is not understood could be one that says when the entry holds.
    if count == 0 or set(element.attrib) != {*_PLAIN, *names}:
        raise Malformed(f"manifest: measurement {index} does not list exactly its alternatives")
    values = tuple(unhex(element.get(name), what="manifest: measurement", length=_SIZE) for name in names)
    return index, GoldenMeasurement(index=index, name=_attribute(element, "name"), values=values) if active else None


def _number(element: Any, name: str, largest: int) -> int:
    text = element.get(name, "")
    if not text.isdecimal() or len(text) > 3 or str(int(text)) != text or int(text) > largest:
        raise Malformed(f"manifest: {name} is not a number up to {largest}")
    return int(text)


def _attribute(element: Any, name: str) -> str:
    text: str = element.get(name, "")
    if not 1 <= len(text) <= 128 or not text.isprintable():
        raise Malformed(f"manifest: {name} is not a short, printable text")
    return text
