"""Writes a policy that pins what a launch document says: by the vendor beforehand, or on first use in development."""

from __future__ import annotations

import json

from hermetic.identity import LaunchDocument
from hermetic.policy.document import Profile

__all__ = ["draft_policy"]


def draft_policy(
    launch: LaunchDocument,
    *,
    profile: Profile,
    products: tuple[str, ...],
    measurements: tuple[str, ...],
    simulated_root: str | None = None,
    log_keys: tuple[str, ...] = (),
    note: str = "",
) -> str:
    """TOML that accepts exactly this launch document, on ``products`` with ``measurements`` (lowercase hex).

    ``note`` becomes a comment at the top.  The result is parsed by :meth:`Policy.parse` like any other.
    """
    lines = [f"# {line}" for line in note.splitlines()]
    lines += ["version = 1", f"profile = {_quote(profile)}"]
    if simulated_root is not None:
        lines += [
            "# SIMULATED: evidence of this simulator is accepted, and only with --allow-simulated.",
            f"simulated_root = {_quote(simulated_root)}",
        ]
    if log_keys:
        lines.append(f"log_keys = {_list(log_keys)}")
    lines += [
        "",
        "[workload]",
        f"services = {_list((launch.service,))}",
        f"programs = {_list((launch.program_digest,))}",
        f"configs = {_list((launch.config_digest,))}",
        f"argv = {_list(launch.argv)}",
        f"models = {_list(tuple(model.manifest_digest for model in launch.models))}",
        f"broker_keys = {_list(() if launch.broker_key is None else (launch.broker_key,))}",
    ]
    for table, entries in (("environment", launch.environment), ("outbound", launch.outbound)):
        if entries:
            lines += ["", f"[workload.{table}]", *(f"{_quote(name)} = {_quote(entries[name])}" for name in entries)]
    lines += ["", "[snp]", f"products = {_list(products)}", f"measurements = {_list(measurements)}"]
    return "\n".join(lines) + "\n"


def _quote(value: str) -> str:
    # A JSON string of printable text is also a TOML basic string (TOML 1.0, "String"): same escapes.
    return json.dumps(value, ensure_ascii=False)


def _list(values: tuple[str, ...]) -> str:
    if len(values) < 2:
        return "[" + ", ".join(_quote(value) for value in values) + "]"
    return "[\n" + "".join(f"    {_quote(value)},\n" for value in values) + "]"
