"""What Intel's documents can say: every field has its form, and a document with another one cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from hermetic.errors import Malformed
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from intel_forge import PARTS, TDX

TCB_INFO, QE_IDENTITY = "tcbInfo", "enclaveIdentity"
DOCUMENTS = {TCB_INFO: PARTS[TDX].tcb_info, QE_IDENTITY: PARTS[TDX].qe_identity}
LOADERS: dict[str, Callable[[bytes], object]] = {TCB_INFO: load_tcb_info, QE_IDENTITY: load_qe_identity}

LEVEL, COMPONENT = ("tcbLevels", 0), ("tcbLevels", 0, "tcb", "sgxtcbcomponents")
MODULE = ("tdxModuleIdentities", 0)
BYTE, WORD, NUMBER = (-1, 256), (-1, 65536), (-1, 2**32)


def hexes(size: int) -> tuple[str, ...]:
    return "0" * (2 * size - 2), "0" * (2 * size + 2), "0" * (2 * size - 1) + "g", "0" * 2 * size + "\n"


FORMS: tuple[tuple[str, tuple[str | int, ...], tuple[Any, ...]], ...] = (
    (TCB_INFO, (*COMPONENT, 0, "svn"), BYTE),
    (TCB_INFO, ("tcbLevels", 0, "tcb", "tdxtcbcomponents", 15, "svn"), BYTE),
    (TCB_INFO, COMPONENT, ([{"svn": 0}] * 15, [{"svn": 0}] * 17)),
    (TCB_INFO, (*LEVEL, "tcb", "pcesvn"), WORD),
    (TCB_INFO, (*LEVEL, "advisoryIDs"), (["intel-sa-00001"], [""], ["A" * 33], ["A\n"])),
    (TCB_INFO, (*LEVEL, "tcbStatus"), ("TDRelaunchAdvised", "uptodate", "")),
    (TCB_INFO, ("tcbLevels",), ([],)),
    (TCB_INFO, ("fmspc",), hexes(6)),
    (TCB_INFO, ("pceId",), hexes(2)),
    (TCB_INFO, ("tcbEvaluationDataNumber",), NUMBER),
    (TCB_INFO, ("issueDate",), ("2026-01-01T00:00:00",)),
    (TCB_INFO, ("nextUpdate",), ("2026-01-01T00:00:00",)),
    (TCB_INFO, ("tdxModule", "mrsigner"), hexes(48)),
    (TCB_INFO, ("tdxModule", "attributes"), hexes(8)),
    (TCB_INFO, (*MODULE, "id"), ("TDX_1", "TDX_001", "TDX_0G", "xTDX_01", "TDX_01\n")),
    (TCB_INFO, (*MODULE, "tcbLevels"), ([],)),
    (TCB_INFO, (*MODULE, "tcbLevels", 0, "tcb", "isvsvn"), WORD),
    (QE_IDENTITY, ("miscselect",), hexes(4)),
    (QE_IDENTITY, ("attributes",), hexes(16)),
    (QE_IDENTITY, ("mrsigner",), hexes(32)),
    (QE_IDENTITY, ("isvprodid",), WORD),
    (QE_IDENTITY, ("tcbLevels",), ([],)),
    (QE_IDENTITY, ("tcbEvaluationDataNumber",), NUMBER),
)


def answered(member: str, document: Any) -> bytes:
    """As Intel's service answers; what signed it is not looked at when it is read."""
    body = json.dumps(document, separators=(",", ":"))
    return f'{{"{member}":{body},"signature":"{"0" * 128}"}}'.encode()


@pytest.mark.parametrize(("member", "path", "values"), FORMS, ids=[".".join(map(str, form[1])) for form in FORMS])
def test_a_field_of_another_form(member: str, path: tuple[str | int, ...], values: tuple[Any, ...]) -> None:
    LOADERS[member](answered(member, DOCUMENTS[member]))
    for value in values:
        document: Any = json.loads(json.dumps(dict(DOCUMENTS[member])))
        place = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        with pytest.raises(Malformed):
            LOADERS[member](answered(member, document))


@pytest.mark.parametrize("member", LOADERS)
def test_the_frame_is_the_services_own(member: str) -> None:
    """Nobody signs what stands around the document, so there is one way to write it."""
    whole = answered(member, DOCUMENTS[member])
    LOADERS[member](whole)
    renamed = whole.replace(member.encode(), member[:-1].encode() + b"X", 1)
    for changed in (
        renamed,
        b" " + whole,
        whole + b"\n",
        whole.replace(b"0" * 128, b"0" * 127 + b"g"),
        whole[:50],
        b"",
    ):
        with pytest.raises(Malformed, match="as Intel's service answers"):
            LOADERS[member](changed)
    with pytest.raises(Malformed, match="nested too deeply"):
        LOADERS[member](whole.replace(b'"version"', b'"more":' + b"[" * 3000 + b"]" * 3000 + b',"version"', 1))
