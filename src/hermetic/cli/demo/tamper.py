"""``hermetic demo --tamper``: one bit of each thing is flipped in turn, and the check that refuses is named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hermetic.cli._stack import free_port
from hermetic.cli.demo.refusals import NotRefused, ask_through, launch_and_be_denied, refusal_of
from hermetic.cli.demo.wiretap import Wiretap, flip_last_byte

if TYPE_CHECKING:
    from hermetic.cli.demo.story import Story
    from hermetic.guest.launch import LaunchPlan

__all__ = ["tamper_with_everything"]

Verdict = tuple[str, str, str]
"""Who refused, the check's code, and the reason in a sentence."""


def tamper_with_everything(story: Story) -> int:
    """Stands the chain up, then breaks one thing at a time.  Raises NotRefused if anything is accepted."""
    stage, stack = story.stage, story.stack
    stage.out.print("[bold]Hermetic[/]: flip one bit of each thing, and see who notices")
    stage.out.print("[black on yellow] SIMULATED [/] hardware; everything else is real\n")
    with stage.step(0, "The chain as it should be"):
        plan = story.prepare()
        story.running.append(stack.start_broker(story.log))
        story.running.append(stack.start_server(plan, story.log))
        stage.true("Broker and server answer; a client accepts them.")
    rows = []
    attempts: tuple[tuple[str, str, Callable[[], Verdict]], ...] = (
        ("program", "one bit of one file of the server's code, measured and launched", lambda: _program(story, plan)),
        ("copy", "one bit of the copy that is about to be executed", lambda: _copy(story, plan)),
        ("config", "one bit of a comment in server.toml", lambda: _config(story, plan)),
        ("model", "one bit of the sealed model on disk", lambda: _model(story, plan)),
        ("evidence", "one bit of the report that the hardware signed", lambda: _evidence(story)),
        ("request", "one bit of the sealed request on the wire", lambda: _request(story)),
        ("answer", "one bit of the sealed answer on the wire", lambda: _answer(story)),
        ("receipt", "one bit of the signed receipt", lambda: _receipt(story)),
    )
    for number, (name, what, attempt) in enumerate(attempts, start=1):
        with stage.step(number, what):
            who, code, reason = attempt()
            stage.refused(f"{who} [{code}]", reason)
            rows.append((name, who, code))
    _print_table(story, rows)
    return 0


def _program(story: Story, plan: LaunchPlan) -> Verdict:
    from hermetic.guest.tree import Tree

    victim = next(file for file in plan.tree.files if file.path.endswith("hermetic/serve/requests.py"))
    changed = story.stack.folder / "changed-requests.py"
    data = bytearray(victim.source.read_bytes())
    data[3] ^= 0x01  # inside the docstring: it still runs, and does the same
    changed.write_bytes(data)
    other = replace(victim, source=changed, sha256=hashlib.sha256(data).hexdigest())
    tree = Tree(files=tuple(other if file is victim else file for file in plan.tree.files))
    text = _other_port(story)
    denied = launch_and_be_denied(story, text, replace(plan, tree=tree))
    finding = next(found for found in denied.findings if found.check == "policy.program")
    return "the broker", finding.check, f"{finding.title}: no, it is {finding.got[:23]}…"


def _copy(story: Story, plan: LaunchPlan) -> Verdict:
    from hermetic.guest.program import materialise

    program = materialise(plan.tree, story.stack.folder / "programs")
    victim = program.root / next(file.path for file in plan.tree.files if file.path.endswith("hermetic/errors.py"))
    _flip(victim, 3)
    error = refusal_of(program.check)
    return "the platform", error.code, error.message.partition(": ")[2]


def _config(story: Story, plan: LaunchPlan) -> Verdict:
    denied = launch_and_be_denied(story, _other_port(story) + "# b\n", plan)
    finding = next(found for found in denied.findings if found.check == "policy.config")
    return "the broker", finding.check, f"{finding.title}: no, it is {finding.got[:23]}…"


def _model(story: Story, plan: LaunchPlan) -> Verdict:
    """The launch is the pinned one, so the key is released; the ciphertext is not what the owner sealed."""
    from hermetic.guest.program import default_store
    from hermetic.guest.simulated import SimulatedPlatform
    from hermetic.seal import read_bundle

    stack = story.stack
    story.running.pop().stop()  # the pinned configuration names its port
    bundle = read_bundle(stack.bundle)
    sealed = bundle.member(bundle.manifest.files[0])
    position = sealed.stat().st_size // 2
    _flip(sealed, position)
    with (stack.folder / "model.jsonl").open("w+b") as log:
        platform = SimulatedPlatform(machine=stack.machine(), store=default_store())
        workload = platform.launch(plan, stdout=log, stderr=log)
        try:
            code = workload.wait(timeout=60)
        finally:
            workload.stop()
        log.seek(0)
        said = _last_refusal(log.read().decode("utf-8", "replace"))
    if code == 0:
        raise NotRefused("a changed model was served")
    _flip(sealed, position)
    story.running.append(stack.start_server(plan, story.log))
    return "the server", said[0], said[1]


def _last_refusal(text: str) -> tuple[str, str]:
    for line in reversed(text.splitlines()):
        if line.startswith("{") and "code" in (entry := json.loads(line)):
            return str(entry["code"]), str(entry.get("text") or entry.get("message") or "it does not start")
    return "exit", text.splitlines()[-1] if text else "it does not start"


def _evidence(story: Story) -> Verdict:
    from hermetic.client.attest import fetch_report
    from hermetic.identity import AttestationReport

    judge = story.verifier()
    nonce = judge.ask()
    report = AttestationReport.from_bytes(fetch_report(story.stack.url, nonce=nonce))
    evidence = bytearray(report.evidence.evidence)
    evidence[0x94] ^= 0x01  # in the measurement
    forged = replace(report, evidence=replace(report.evidence, evidence=bytes(evidence)))
    error = refusal_of(lambda: judge.authenticate(forged, nonce=nonce))
    return "the client", error.code, error.message


def _request(story: Story) -> Verdict:
    tap = Wiretap(story.stack.port, change_question=flip_last_byte)
    error = refusal_of(lambda: ask_through(tap, story))
    return "the server", error.code, error.message


def _answer(story: Story) -> Verdict:
    error = refusal_of(lambda: ask_through(Wiretap(story.stack.port, change_answer=_flip_sealed), story))
    return "the client", error.code, error.message


def _flip_sealed(message: bytes) -> bytes:
    """Leaves the attestation alone: that one was tried above."""
    return flip_last_byte(message) if b"chunked" in message.partition(b"\r\n\r\n")[0].lower() else message


def _receipt(story: Story) -> Verdict:
    from hermetic.client.chat import ChatStream, fetch_receipt
    from hermetic.client.sealed import SealedClient
    from hermetic.ledger import examine
    from hermetic.verify import Outcome

    key, judge = story.stack.api_key(), story.verifier()
    with SealedClient(story.stack.url, judge) as client:
        messages = [{"role": "user", "content": "Say hello."}]
        stream = ChatStream(client=client, model=story.stack.model_name, messages=messages, api_key=key, max_tokens=8)
        list(stream)
        genuine = fetch_receipt(client, stream.receipt_id, api_key=key)
        claims = client.attested.accepted.claims
    signature = bytearray(genuine.receipt.signature)
    signature[0] ^= 0x01
    forged = replace(genuine, receipt=replace(genuine.receipt, signature=bytes(signature)))
    checks = examine(
        forged,
        claims=claims,
        policy=judge.policy,
        request=stream.request,
        response=stream.response,
        log_key=None,
        pinned=None,
    )
    failed = [check for check in checks if check.outcome is Outcome.FAIL]
    if not failed:
        raise NotRefused("a changed receipt holds")
    return "the auditor", failed[0].name, f"{failed[0].title}: no"


def _other_port(story: Story) -> str:
    text = story.stack.server_toml.read_text("utf-8")
    return text.replace(f"port = {story.stack.port}", f"port = {free_port()}")


def _flip(path: Path, position: int) -> None:
    """Flips one bit of a file in place, read-only or not."""
    mode = path.stat().st_mode
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 0x01]))
    path.chmod(mode)


def _print_table(story: Story, rows: list[tuple[str, str, str]]) -> None:
    table = Table(box=None, header_style="dim")
    for title in ("one bit of the", "was refused by", "with"):
        table.add_column(title)
    for name, who, code in rows:
        table.add_row(name, who, Text(code, style="bold red"))
    story.stage.out.print()
    story.stage.out.print(table)
    story.stage.out.print(f"\nNothing was accepted.  {story.stage.seconds:.0f} s")
