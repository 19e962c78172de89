"""The last step of the story: four things an attacker would try, each really tried, each refused for one reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hermetic.cli._model import NAME
from hermetic.cli._stack import free_port
from hermetic.cli.demo.wiretap import Wiretap, drop_last_chunk
from hermetic.errors import Refused
from hermetic.wire import parse_object

if TYPE_CHECKING:
    from hermetic.broker import Seen
    from hermetic.cli.demo.story import Story
    from hermetic.client.attest import Verifier
    from hermetic.guest.launch import LaunchPlan

__all__ = ["NotRefused", "ask_through", "launch_and_be_denied", "refusal_of", "show_refusals"]


class NotRefused(AssertionError):
    """Something was accepted that had to be refused.  The demo stops here: this is a defect, and the worst kind."""


def show_refusals(story: Story, plan: LaunchPlan) -> None:
    stage = story.stage
    with stage.step(8, "Four things that must not work"):
        _changed_configuration(story, plan)
        _replay(story)
        _truncation(story)
        _no_simulation(story)
        stage.true("Each was really tried, and each was refused.")


def _changed_configuration(story: Story, plan: LaunchPlan) -> None:
    """The operator opens the server to everybody: another configuration, so another launch, so no key."""
    text = story.stack.server_toml.read_text("utf-8")
    text = re.sub(r"(?m)^digests = .*$", "open = true", text)
    text = text.replace(f"port = {story.stack.port}", f"port = {free_port()}")
    denied = launch_and_be_denied(story, text, plan)
    finding = denied.findings[0]
    story.stage.refused(
        "a server started with another configuration",
        f"[{finding.check}] the broker keeps the key: “{finding.title}” is not so, it is {finding.got[:19]}…",
    )


def launch_and_be_denied(story: Story, configuration: str, plan: LaunchPlan) -> Seen:
    """Launches ``configuration`` with the program of ``plan``; the broker's newest decision, which must be a denial."""
    from hermetic.broker import load_config, releases
    from hermetic.guest.launch import plan_launch
    from hermetic.guest.program import default_store
    from hermetic.guest.simulated import SimulatedPlatform

    changed = story.stack.folder / "server-changed.toml"
    changed.write_text(configuration, "utf-8")
    platform = SimulatedPlatform(machine=story.stack.machine(), store=default_store())
    workload = platform.launch(plan_launch(changed, tree=plan.tree), stdout=story.log, stderr=story.log)
    try:
        code = workload.wait(timeout=60)
    finally:
        workload.stop()
    newest = releases(load_config(story.stack.broker_toml), limit=1)[0]
    if code == 0 or newest.decision.outcome == "granted":
        raise NotRefused("a changed launch got the key")
    return newest


def _replay(story: Story) -> None:
    """The network keeps a sealed request and sends it once more, byte for byte.

    The server answers inside the channel, so the attacker cannot even read that it was refused; we, who sealed the
    request, can.
    """
    import httpx2

    from hermetic.channel import open_session, strict
    from hermetic.client.attest import fetch_accepted

    judge = story.verifier()
    session = open_session(fetch_accepted(story.stack.url, judge))
    key = f"Bearer {story.stack.api_key()}".encode()
    sealer = strict.seal_request(
        session.strict, method="GET", target="/v1/models", fields=((b"authorization", key),), now=judge.clock.now()
    )
    sealed = sealer.finish()
    said = []
    with httpx2.Client(base_url=story.stack.url) as network:
        for _ in range(2):
            answer = network.post("/v1/models", content=sealed, headers=dict(sealer.outer_fields))
            opener = sealer.response_opener()
            body = b"".join([*opener.push(answer.content)])
            opener.finish()
            said.append((opener.head.status if opener.head else 0, body))
    (first, _), (second, refusal) = said
    if first != 200 or second < 400:
        raise NotRefused(f"a replayed request was answered {second}")
    code = parse_object(refusal, what="refusal")["error"]["code"]
    story.stage.refused(
        f"a replayed request, the same {len(sealed):,} sealed bytes again",
        f"[{code}] {second}, said inside the channel: the server remembers every request it opened.",
    )


def _truncation(story: Story) -> None:
    """The network drops the end of the answer and ends the HTTP message properly."""
    error = refusal_of(lambda: ask_through(Wiretap(story.stack.port, change_answer=drop_last_chunk), story))
    story.stage.refused("an answer without its end", f"[{error.code}] {error.message}.")


def _no_simulation(story: Story) -> None:
    """A client who does not accept simulated hardware meets this server."""
    tap = Wiretap(story.stack.port)
    error = refusal_of(lambda: ask_through(tap, story, story.verifier(allow_simulated=False)))
    sent = [
        line.split(b" ")[1].split(b"?")[0].decode() for line in tap.questions.split(b"\r\n") if b" HTTP/1.1" in line
    ]
    if any("completions" in path for path in sent):
        raise NotRefused("a prompt left for a server that was not accepted")
    story.stage.refused(
        "a client whose policy does not allow simulation",
        f"[{error.code}] it asked {sent[0]} for a nonce's worth of evidence, and sent nothing else.",
    )


def ask_through(tap: Wiretap, story: Story, verifier: Verifier | None = None) -> None:
    """A short question through ``tap``."""
    from hermetic.client.chat import ChatStream
    from hermetic.client.sealed import SealedClient

    try:
        with SealedClient(tap.url, verifier or story.verifier()) as client:
            messages = [{"role": "user", "content": "Say hello."}]
            for _ in ChatStream(
                client=client, model=NAME, messages=messages, api_key=story.stack.api_key(), max_tokens=8
            ):
                pass
    finally:
        tap.close()


def refusal_of(attempt: Callable[[], object]) -> Refused:
    """The refusal that ``attempt`` meets.  Raises NotRefused if it succeeds."""
    try:
        attempt()
    except Refused as refusal:
        return refusal
    raise NotRefused("it was accepted")
