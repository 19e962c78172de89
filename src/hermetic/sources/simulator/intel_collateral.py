"""What the simulated Intel publishes: TCB info and QE identity, as the real one answers (Intel PCS API v4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from hermetic.evidence import TDX
from hermetic.sources.simulator.ec import EcKeys, raw_signature
from hermetic.sources.simulator.intel_machine import CURRENT, OUTDATED, QE_SIGNER, IntelJudgement, IntelMachine
from hermetic.verify import TcbStatus

_MODULE = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
_REMEMBERED = 64

Document = Mapping[str, Any]


def tcb_info(
    tee: str, machine: IntelMachine, judgement: IntelJudgement, *, first: datetime, last: datetime
) -> dict[str, Any]:
    """Levels of machines like ``machine``: current ones as ``judgement`` says, and outdated ones.

    For TDX also those of module version 1: minor version 7 is current, 4 outdated.
    """
    document: dict[str, Any] = {
        "id": tee.upper(),
        "version": 3,
        **_dates(first, last),
        "fmspc": machine.fmspc.hex().upper(),
        "pceId": machine.pce_id.hex().upper(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": judgement.evaluation_number,
    }
    if tee == TDX:
        current = _isv_level(judgement.module_status, 7)
        levels = [current, _isv_level(TcbStatus.OUT_OF_DATE, 4, "INTEL-SA-00002")]
        document |= {"tdxModule": _MODULE, "tdxModuleIdentities": [{"id": "TDX_01", **_MODULE, "tcbLevels": levels}]}
    document["tcbLevels"] = [
        _level(judgement.status, CURRENT, judgement.date, judgement.advisories, tee),
        _level(TcbStatus.OUT_OF_DATE, OUTDATED, judgement.date, ("INTEL-SA-00001",), tee),
    ]
    return document


def qe_identity(tee: str, judgement: IntelJudgement, *, first: datetime, last: datetime) -> dict[str, Any]:
    """Levels of the quoting enclave: version 4 is current, 2 outdated."""
    return {
        "id": "TD_QE" if tee == TDX else "QE",
        "version": 2,
        **_dates(first, last),
        "tcbEvaluationDataNumber": judgement.evaluation_number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_SIGNER.hex().upper(),
        "isvprodid": 2,
        "tcbLevels": [
            _isv_level(judgement.enclave_status, 4),
            _isv_level(TcbStatus.OUT_OF_DATE, 2, "INTEL-SA-00003"),
        ],
    }


def signed_answer(member: str, document: Document, keys: EcKeys, key: str) -> bytes:
    """``document`` as the service answers: under ``member``, with a signature over its exact text."""
    return _signed(member, json.dumps(document, separators=(",", ":")), keys, key)


@lru_cache(_REMEMBERED)
def _signed(member: str, body: str, keys: EcKeys, key: str) -> bytes:
    signature = raw_signature(keys.key(key), body.encode(), "sha256").hex()
    return f'{{"{member}":{body},"signature":"{signature}"}}'.encode()


def _level(status: TcbStatus, svn: int, date: datetime, advisories: tuple[str, ...], tee: str) -> dict[str, Any]:
    tcb: dict[str, Any] = {"sgxtcbcomponents": [{"svn": svn}] * 16, "pcesvn": 10 + svn // 2}
    if tee == TDX:
        tcb["tdxtcbcomponents"] = [{"svn": svn}, {"svn": 0}, {"svn": svn}] + [{"svn": 0}] * 13
    return {"tcb": tcb, **_stated(status, date, advisories)}


def _isv_level(status: TcbStatus, svn: int, *advisories: str) -> dict[str, Any]:
    return {"tcb": {"isvsvn": svn}, **_stated(status, "2025-08-13T00:00:00Z", advisories)}


def _stated(status: TcbStatus, date: datetime | str, advisories: tuple[str, ...]) -> dict[str, Any]:
    when = date if isinstance(date, str) else _time(date)
    return {"tcbDate": when, "tcbStatus": str(status), "advisoryIDs": list(advisories)}


def _dates(first: datetime, last: datetime) -> dict[str, str]:
    return {"issueDate": _time(first), "nextUpdate": _time(last)}


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
