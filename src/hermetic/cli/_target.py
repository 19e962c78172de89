"""Which server and which policy a command means: what the user gave, or the last ``hermetic up``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hermetic.cli._files import read_secret
from hermetic.errors import Malformed, Misconfigured

if TYPE_CHECKING:
    from hermetic.client.attest import Verifier

__all__ = ["Target", "last_up", "remember_up", "resolve", "verification_options", "verifier"]

Command = TypeVar("Command", bound=Callable[..., Any])
_LAST_UP = "last-up.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server, how to appraise it (None: only authenticity can be shown), and where its credential and its log lie."""

    url: str
    policy: Path | None
    allow_simulated: bool
    api_key_file: Path | None = None
    log_url: str | None = None

    def api_key(self) -> str | None:
        """The credential, if there is one.  Raises Misconfigured where the file cannot be read."""
        return read_secret(self.api_key_file) if self.api_key_file else None


def verification_options(command: Command) -> Command:
    """``--policy`` and ``--allow-simulated``, the same on every command that verifies."""
    command = click.option(
        "--allow-simulated",
        is_flag=True,
        help="Accept the simulated platform that the policy pins.  For trying things: it protects nothing.",
    )(command)
    return click.option(
        "--policy", type=click.Path(path_type=Path, dir_okay=False), help="The policy that decides what is accepted."
    )(command)


def resolve(url: str | None, policy: Path | None, allow_simulated: bool, *, need_policy: bool = True) -> Target:
    """The target of a command: without URL the last ``hermetic up``, and its policy unless another is given."""
    last = last_up()
    if url is None:
        if last is None:
            raise Misconfigured("no URL given, and no server was started here", fix="hermetic up, or give a URL")
        return Target(
            url=last.url,
            policy=policy or last.policy,
            allow_simulated=allow_simulated or last.allow_simulated,
            api_key_file=last.api_key_file,
            log_url=last.log_url,
        )
    same = last if last is not None and last.url == url.rstrip("/") else None
    if policy is None:
        if same is None and need_policy:
            raise Misconfigured(
                f"no policy given for {url}: without one nothing is accepted",
                code="no_policy",
                fix="give --policy policy.toml; to try things: hermetic policy new URL > policy.toml",
            )
        if same is not None:
            policy, allow_simulated = same.policy, allow_simulated or same.allow_simulated
    return Target(
        url=url.rstrip("/"),
        policy=policy,
        allow_simulated=allow_simulated,
        api_key_file=same.api_key_file if same else None,
        log_url=same.log_url if same else None,
    )


def verifier(target: Target) -> Verifier:
    from hermetic.client.attest import Verifier
    from hermetic.client.clock import FlooredClock
    from hermetic.client.folders import state_folder
    from hermetic.policy import Policy

    return Verifier(
        policy=Policy.load(target.policy) if target.policy is not None else None,
        allow_simulated=target.allow_simulated,
        clock=FlooredClock(state_folder() / "clock.json"),
    )


def remember_up(target: Target) -> None:
    """Keeps ``target`` as the default of later commands."""
    from hermetic.client.folders import state_folder, write_document

    document = {
        "url": target.url,
        "policy": str(target.policy),
        "allow_simulated": target.allow_simulated,
        "api_key_file": str(target.api_key_file) if target.api_key_file else None,
        "log_url": target.log_url,
    }
    write_document(state_folder() / _LAST_UP, document)


def last_up() -> Target | None:
    from hermetic.client.folders import read_document, state_folder

    document = read_document(state_folder() / _LAST_UP)
    if document is None:
        return None
    try:
        key_file = document["api_key_file"]
        return Target(
            url=document["url"],
            policy=Path(document["policy"]),
            allow_simulated=document["allow_simulated"] is True,
            api_key_file=Path(key_file) if key_file else None,
            log_url=document["log_url"],
        )
    except (KeyError, TypeError) as error:
        raise Malformed("the record of the last hermetic up is damaged", fix="run hermetic up again") from error
