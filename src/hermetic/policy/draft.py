"""Writes a policy that pins what was seen: by the vendor beforehand, or on first use in development."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hermetic.evidence import SgxQuote, TdxQuote
from hermetic.evidence.nvidia import FeatureMode
from hermetic.identity import LaunchDocument, LaunchPlace, find_launch_digest
from hermetic.policy._document import Profile
from hermetic.verify import IntelClaims, PlatformClaims
from hermetic.verify.nvidia import DeviceClaims

__all__ = ["Tables", "draft_policy", "seen_tables"]

Tables = Mapping[str, Mapping[str, Any]]
"""Tables of a policy by name, as TOML has them: ``{"snp": {"products": ["Genoa"], "measurements": ["…"]}}``."""


_REMARKS = {
    ("tdx", "rtmr0s"): "# Follows memory, processors and ACPI tables: add one for each size of machine.",
}
"""What a reader must know of a pinned value, above it."""


def draft_policy(
    launch: LaunchDocument | None,
    *,
    profile: Profile,
    tables: Tables,
    simulated_root: str | None = None,
    log_keys: tuple[str, ...] = (),
    note: str = "",
) -> str:
    """TOML that accepts exactly this launch document on what ``tables`` say; None leaves the workload out.

    ``note`` becomes a comment at the top.  The result is parsed by :meth:`Policy.parse` like any other.
    """
    lines = [f"# {line}" for line in note.splitlines()]
    lines += ["version = 1", f"profile = {_value(profile)}"]
    if simulated_root is not None:
        lines += [
            "# SIMULATED: evidence of this simulator is accepted, and only with --allow-simulated.",
            f"simulated_root = {_value(simulated_root)}",
        ]
    if log_keys:
        lines.append(f"log_keys = {_value(log_keys)}")
    for name, table in {**({} if launch is None else _workload(launch)), **tables}.items():
        lines += _table(name, table)
    return "\n".join(lines) + "\n"


def seen_tables(platform: PlatformClaims | None, devices: tuple[DeviceClaims, ...] = ()) -> Tables:
    """Tables that pin what verified claims say: this image on this kind of machine, with these many devices."""
    tables: dict[str, Mapping[str, Any]] = {}
    if isinstance(platform, IntelClaims):
        tables[platform.tee] = _intel(platform)
    elif platform is not None:
        tables["snp"] = {"products": [str(platform.product)], "measurements": [platform.measurement.hex()]}
    if devices:
        tables["nvidia"] = _nvidia(devices)
    return tables


def _workload(launch: LaunchDocument) -> dict[str, Mapping[str, Any]]:
    tables: dict[str, Mapping[str, Any]] = {
        "workload": {
            "services": [launch.service],
            "programs": [launch.program_digest],
            "configs": [launch.config_digest],
            "argv": launch.argv,
            "models": [model.manifest_digest for model in launch.models],
            "broker_keys": [] if launch.broker_key is None else [launch.broker_key],
        }
    }
    for field, entries in (("environment", launch.environment), ("outbound", launch.outbound)):
        if entries:
            tables[f"workload.{field}"] = entries
    return tables


def _intel(claims: IntelClaims) -> dict[str, Any]:
    """Pins the image, and takes the firmware as it is found: a status other than UpToDate with its advisories."""
    table: dict[str, Any] = {}
    quote = claims.report
    if isinstance(quote, TdxQuote):
        table["mr_tds"] = [quote.body.mr_td.hex()]
        # Not RTMR3: it follows from what happens at run time.
        table |= {f"rtmr{n}s": [quote.body.rtmrs[n].hex()] for n in (0, 1, 2)}
        if (place := find_launch_digest(claims)[0]) is not LaunchPlace.MRCONFIGID:
            table["launch_place"] = str(place)
    elif isinstance(quote, SgxQuote):
        table["mr_enclaves"] = [quote.body.mr_enclave.hex()]
    if claims.tcb.status != "UpToDate":
        table["statuses"] = ["UpToDate", str(claims.tcb.status)]
        if claims.tcb.advisories:
            table["allow_advisories"] = claims.tcb.advisories
    table["tcb_date_min"] = f"{claims.tcb.date:%Y-%m-%d}"
    table["evaluation_min"] = min(claims.tcb.evaluation_numbers)
    return table


def _nvidia(devices: tuple[DeviceClaims, ...]) -> dict[str, Any]:
    gpus = [device for device in devices if not device.model.is_switch]
    table: dict[str, Any] = {"gpus": len(gpus), "switches": len(devices) - len(gpus)}
    table["architectures"] = sorted({str(device.model.architecture) for device in gpus})
    modes = {device.mode for device in gpus}
    if None not in modes:
        table["modes"] = sorted(FeatureMode(mode).name for mode in modes if mode is not None)
    for field, attribute in (("simulated_device_root", "root"), ("simulated_manifest_root", "manifest_roots")):
        roots = [getattr(device, attribute) for device in devices]
        flat = [root for entry in roots for root in (entry if isinstance(entry, tuple) else (entry,))]
        simulated = sorted({root.sha256 for root in flat if root.simulated})
        if simulated:
            table[field] = simulated[0]
    return table


def _table(name: str, table: Mapping[str, Any]) -> list[str]:
    """Plain values first, then tables within it: TOML reads whatever follows a header as part of it."""
    plain = {field: value for field, value in table.items() if not isinstance(value, Mapping)}
    lines = ["", f"[{name}]"]
    for field, value in plain.items():
        lines += [remark] if (remark := _REMARKS.get((name, field))) else []
        lines.append(f"{_key(field)} = {_value(value)}")
    for field, value in table.items():
        if isinstance(value, Mapping):
            lines += _table(f"{name}.{_key(field)}", value)
    return lines


def _key(field: str) -> str:
    return field if field.isascii() and field.replace("_", "").isalnum() else _value(field)


def _value(value: str | int | Sequence[Any]) -> str:
    # A JSON string of printable text is also a TOML basic string (TOML 1.0, "String"): same escapes.
    if isinstance(value, str | int):
        return json.dumps(value, ensure_ascii=False)
    entries = [_value(entry) for entry in value]
    if len(entries) < 2:
        return "[" + ", ".join(entries) + "]"
    return "[\n" + "".join(f"    {entry},\n" for entry in entries) + "]"
