"""The story that ``hermetic demo`` tells: eight steps, each really done, none of them scripted to succeed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.columns import Columns
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from hermetic.cli._model import NAME, check_model, find_model
from hermetic.cli._show import checks_table, console, own_name, summary
from hermetic.cli._stack import RESOURCE, Process, Stack, free_port, interruptible
from hermetic.cli.demo.refusals import show_refusals
from hermetic.cli.demo.stage import Stage, hexdump
from hermetic.cli.demo.wiretap import Wiretap
from hermetic.errors import NotAuthentic
from hermetic.sources.platform import detect
from hermetic.verify import Outcome
from hermetic.wire import canonical

if TYPE_CHECKING:
    from hermetic.broker import Initialised
    from hermetic.client.attest import Verifier
    from hermetic.client.chat import ChatStream
    from hermetic.guest.launch import LaunchPlan
    from hermetic.ledger import PinnedCheckpoints
    from hermetic.seal import Bundle
    from hermetic.verify import Check

__all__ = ["PROMPT", "Story", "tell"]

PROMPT = "What is the capital of France? Answer in one sentence."
_SEED = 7


@dataclass
class Story:
    """What the steps share: the stage, the stack, and what earlier steps made."""

    stage: Stage
    stack: Stack
    log: IO[bytes]
    svg: Path | None = None
    running: list[Process] = field(default_factory=list)
    log_key: str = ""

    @classmethod
    @contextmanager
    def begin(cls, folder: Path, *, fast: bool, svg: Path | None) -> Iterator[Story]:
        """A story in ``folder``; every process it started is stopped when it ends, however it ends."""
        stack = Stack(folder=folder, port=free_port(), broker_port=free_port(), model_name=NAME)
        with (folder / "log.jsonl").open("ab") as log, interruptible():
            story = cls(stage=Stage(out=console(), fast=fast), stack=stack, log=log, svg=svg)
            try:
                yield story
            finally:
                for process in reversed(story.running):
                    process.stop()

    def verifier(self, *, allow_simulated: bool = True) -> Verifier:
        from hermetic.client.attest import Verifier
        from hermetic.policy import Policy

        return Verifier(policy=Policy.load(self.stack.policy), allow_simulated=allow_simulated)

    @property
    def pins(self) -> PinnedCheckpoints:
        """The checkpoints that the story's client has seen."""
        from hermetic.ledger import PinnedCheckpoints

        return PinnedCheckpoints(self.stack.folder / "checkpoints.json")

    def prepare(self) -> LaunchPlan:
        """Steps 2 and 3 without telling."""
        broker = self.stack.make_broker()
        self.stack.configure(self.stack.seal_model(find_model(), broker), broker)
        plan = self.stack.plan()
        self.stack.write_policy(plan, broker)
        return plan


def tell(story: Story) -> int:
    """Tells the whole story.  Raises what any step raises: nothing is shown that did not happen."""
    stage = story.stage
    stage.out.print("[bold]Hermetic[/]: a conversation with a model, where nobody in between can look\n")
    _platform(story)
    broker, bundle = _seal(story)
    plan = _measure(story, broker, bundle)
    _launch(story, plan, bundle)
    _verify(story)
    stream = _chat(story)
    stage.out.record = story.svg is not None
    _receipt(story, stream, bundle)
    show_refusals(story, plan)
    _end(story)
    return 0


def _platform(story: Story) -> None:
    stage = story.stage
    with stage.step(1, "Which trusted execution environment does this machine have?"):
        found = detect()
        stage.fact("found here", found.summary)
        machine = story.stack.machine()
        stage.fact("used instead", f"{machine.summary}, in software")
        stage.fact("its root", machine.root_digest)
        stage.out.print(
            "[black on yellow] SIMULATED [/] the chain is real, the hardware is not: it hides nothing from this machine"
        )
        stage.true("A simulated vendor made its keys for this machine alone; whoever relies on it must pin that root.")


def _seal(story: Story) -> tuple[Initialised, Bundle]:
    stage, stack = story.stage, story.stack
    with stage.step(2, "A model vendor seals a real model for the broker"):
        model = find_model()
        check_model(model)
        broker = stack.make_broker()
        story.log_key = broker.log_key
        bundle = stack.seal_model(model, broker)
        member = bundle.manifest.files[0]
        sealed = bundle.member(member)
        with model.open("rb") as plain, sealed.open("rb") as cipher:
            cipher.seek(len(bundle.header(member).raw) + 16)
            stage.show(Text.assemble((f"{model.name}: what the vendor has\n", "bold"), hexdump(plain.read(48), 2)))
            stage.show(Text.assemble((f"\n{sealed.name}: what is on disk\n", "bold"), hexdump(cipher.read(48), 2)))
        stage.fact("sealed for", f"{RESOURCE}  {broker.recipients[RESOURCE][:40]}…")
        stage.fact("post-quantum", "X25519 + ML-KEM-768, ChaCha20-Poly1305 (age)")
        stage.fact("manifest", bundle.manifest_digest)
        stage.true(
            f"{member.size / 1e6:.0f} MB are ciphertext; the key to them was born in the broker and stays there."
        )
    return broker, bundle


def _measure(story: Story, broker: Initialised, bundle: Bundle) -> LaunchPlan:
    stage, stack = story.stage, story.stack
    with stage.step(3, "The vendor measures the server that may have it, and starts the broker"):
        stack.configure(bundle, broker)
        plan = stack.plan()
        stack.write_policy(plan, broker)
        story.running.append(stack.start_broker(story.log))
        document = plan.document
        stage.fact("$", "hermetic measure server.toml", "bold")
        stage.fact("program", f"{document.program_digest}  ({len(plan.tree.files)} files)")
        stage.fact("configuration", document.config_digest)
        stage.fact("model", document.models[0].manifest_digest)
        stage.fact("broker", str(document.broker_key))
        stage.fact("launch digest", document.digest, "bold")
        stage.fact("policy", f"pins each of these, on that simulator; {stack.policy.name}")
        stage.true(
            f"The broker answers on {stack.broker_url}; it releases the key to exactly this launch and no other."
        )
    return plan


def _launch(story: Story, plan: LaunchPlan, bundle: Bundle) -> None:
    from hermetic.broker import load_config, releases

    stage, stack = story.stage, story.stack
    with stage.step(4, "The platform launches the server; it proves what it is and gets the key"):
        story.running.append(stack.start_server(plan, story.log))
        decision = releases(load_config(stack.broker_toml), limit=1)[0]
        stage.fact("$", "hermetic simulator run -- hermetic serve --config server.toml", "bold")
        stage.fact("broker says", f"{decision.decision.outcome}, log entry {decision.log_index}", "green")
        stage.fact("released", "one file key, in an HPKE box to a key that the evidence names")
        _audit(story)
        readable = [path.name for path in stack.folder.rglob("*") if _begins_with_gguf(path)]
        stage.fact("model on disk", f"{', '.join(readable) or 'in clear nowhere'}: opened into a sealed memory file")
        stage.true("The server runs from a re-hashed copy, holds the model in memory only, and serves.")


def _verify(story: Story) -> None:
    from hermetic.client.attest import fetch_accepted

    stage = story.stage
    with stage.step(5, "A client asks the server what it is, and checks every word of the answer"):
        accepted = fetch_accepted(story.stack.url, story.verifier())
        stage.show(checks_table(accepted.checks))
        stage.true(f"Accepted: {summary(accepted.checks)}. Had one not passed, nothing would be sent.")


def _chat(story: Story) -> ChatStream:
    from hermetic.client.chat import ChatStream
    from hermetic.client.sealed import SealedClient

    stage, out, tap = story.stage, story.stage.out, Wiretap(story.stack.port)
    with (
        stage.step(6, "A conversation, and what the network saw of it"),
        SealedClient(tap.url, story.verifier()) as client,
    ):
        stream = ChatStream(
            client=client,
            model=NAME,
            messages=[{"role": "user", "content": PROMPT}],
            api_key=story.stack.api_key(),
            temperature=0.1,
            seed=_SEED,
            max_tokens=48,
        )
        out.print(Text.assemble(("  you    ", "dim"), PROMPT))
        out.print("  model  ", style="dim", end="")
        answer = ""
        for piece in stream:
            answer += piece
            out.print(piece, style="bold", end="", markup=False)
        out.print(
            f"\n         [dim](a toy: 135 million parameters, {stream.usage.get('completion_tokens')} tokens)[/]\n"
        )
        sealed = bytes(tap.questions[-512:])
        stage.show(
            Columns(
                [
                    Panel(Text(PROMPT + "\n\n" + answer.strip()), title="in the two attested ends", width=38),
                    Panel(hexdump(sealed[:64], 4), title="on the wire between them", width=76),
                ]
            )
        )
        seen = bytes(tap.questions + tap.answers)
        words = [word for word in (PROMPT, answer.strip(), story.stack.api_key()) if word.encode() in seen]
        stage.fact("captured", f"{len(seen):,} bytes; prompt, answer or API key in them: {len(words)}")
        tap.close()
        stage.true("Only the two ends read the conversation; the keys were made inside, and the evidence names them.")
    return stream


def _receipt(story: Story, stream: ChatStream, bundle: Bundle) -> None:
    from hermetic.client.chat import fetch_receipt
    from hermetic.client.sealed import SealedClient
    from hermetic.ledger import ReceiptFile, VerifierKey, examine

    stage, stack = story.stage, story.stack
    with stage.step(7, "The receipt: what was done, by what, for anyone to check without us"):
        with SealedClient(stack.url, story.verifier()) as client:
            first = fetch_receipt(client, stream.receipt_id, api_key=stack.api_key(), patience=0)
            stage.fact(
                "at once", "pending: signed, not yet in the log" if first.inclusion is None else "in the log already"
            )
            receipt = fetch_receipt(client, stream.receipt_id, api_key=stack.api_key())
        saved = stack.folder / "receipt.json"
        saved.write_bytes(canonical(receipt.to_json()))
        log_checks = _audit(story)
        # From here on nothing but files: what an auditor would have.
        judge = story.verifier()
        kept = ReceiptFile.from_bytes(saved.read_bytes())
        if kept.attestation is None:
            raise NotAuthentic("the receipt came without the report that makes its signature worth something")
        checks = examine(
            kept,
            claims=judge.authenticate(kept.attestation, nonce=None),
            policy=judge.policy,
            request=stream.request,
            response=stream.response,
            log_key=VerifierKey.parse(story.log_key),
            pinned=story.pins.get(VerifierKey.parse(story.log_key)),
        )
        about = [check for check in checks if check.name.startswith(("receipt.", "log."))]
        stage.show(checks_table([*about, *(check for check in log_checks if check.name == "log.entries")]))
        stage.fact("model", f"{bundle.manifest_digest}, the vendor's own manifest")
        if any(check.outcome is not Outcome.PASS for check in (*about, *log_checks)):
            raise NotAuthentic("the receipt does not hold")
        stage.true(
            "Anyone with the files can check which model answered, what was asked, and that it stands in the log."
        )


def _audit(story: Story) -> tuple[Check, ...]:
    """Reads the broker's whole log, and remembers its newest checkpoint: the next one must continue it."""
    from hermetic.cli.log import audit_log
    from hermetic.ledger import VerifierKey

    key = VerifierKey.parse(story.log_key)
    return audit_log(story.stack.broker_url, key_of=lambda _: key, pins=story.pins)[1]


def _end(story: Story) -> None:
    stage = story.stage
    stage.out.print()
    stage.out.print(Rule(style="cyan"))
    stage.out.print(
        f"[bold]That was the whole chain[/], in {stage.seconds:.0f} s: "
        "evidence → policy → key → channel → answer → receipt.\n"
        "[black on yellow] SIMULATED [/] hardware; the model, the broker, the server and every check were real.\n\n"
        f"Next:  [bold]{own_name()} up[/]             a server to talk to; then: {own_name()} chat\n"
        f"       [bold]{own_name()} demo --tamper[/]  flips a byte of each thing in turn"
    )
    if story.svg is not None:
        picture = stage.out.export_svg(title="hermetic demo")
        # The exporter links to a web font; a picture in a document should not call anybody.
        story.svg.write_text(re.sub(r"@font-face\s*\{[^}]*\}", "", picture), encoding="utf-8")


def _begins_with_gguf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return os.path.getsize(path) > 4 and file.read(4) == b"GGUF"
