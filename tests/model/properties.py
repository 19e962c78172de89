"""What must hold in every state, and the weakened protocols in which something does not.

Each is written over what really happened (``Origin``, the contents of boxes), never over what a party believes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from model.protocol import (
    BROKER,
    FILE_KEY,
    HONEST,
    MALLORY,
    RELEASE,
    SESSION,
    Accepted,
    Origin,
    Rules,
    State,
    challenge_nonce,
    client_nonce,
    launch,
)

FILE_KEY_SECRECY = "file key secrecy"
PROMPT_SECRECY = "prompt secrecy"
PURPOSE_SEPARATION = "purpose separation"
SESSION_AGREEMENT = "session agreement"
RELEASE_AGREEMENT = "release agreement"
BROKER_AUTHENTICITY = "broker authenticity"
AT_MOST_ONCE = "at most once"

PROPERTIES = {
    FILE_KEY_SECRECY: "a file key is sealed only to a keyset born in a genuine TEE that runs the pinned launch",
    PROMPT_SECRECY: "a prompt is sealed only to a keyset born in a TEE that the client's policy accepts",
    PURPOSE_SEPARATION: "an attestation made for one purpose is accepted for no other",
    SESSION_AGREEMENT: "a session rests on an attestation of its own, made by the keyset's owner for its nonce",
    RELEASE_AGREEMENT: "a release rests on an attestation of its own, made by the keyset's owner for its challenge",
    BROKER_AUTHENTICITY: "a workload holds file keys only of the broker its launch document names and its client pins",
    AT_MOST_ONCE: "a prompt is handled at most once",
}


class Violation(NamedTuple):
    property: str
    text: str


class Variant(NamedTuple):
    """A protocol that differs from the full one in one rule, and the property that its shortest attack breaks."""

    rules: Rules
    breaks: str
    why: str


FULL = Rules()

WEAKENED = {
    "no nonce": Variant(replace(FULL, nonce=False), SESSION_AGREEMENT, "report data leaves out the nonce"),
    "no key binding": Variant(replace(FULL, key_binding=False), PROMPT_SECRECY, "report data leaves out the keyset"),
    "no launch digest": Variant(
        replace(FULL, launch_digest=False), PROMPT_SECRECY, "evidence leaves out the launch digest"
    ),
    "no purpose": Variant(replace(FULL, purpose=False), PURPOSE_SEPARATION, "report data leaves out the purpose"),
    "no broker identity": Variant(
        replace(FULL, broker_identity=False), BROKER_AUTHENTICITY, "the launch document names no broker"
    ),
    "reused challenge": Variant(
        replace(FULL, single_use=False), RELEASE_AGREEMENT, "a challenge stays good after its release"
    ),
}

FURTHER = {
    "no context": Variant(
        replace(FULL, context=False), FILE_KEY_SECRECY, "report data leaves out what the exchange is about"
    ),
    "leaked chip accepted": Variant(
        replace(FULL, allow_list=False), PROMPT_SECRECY, "policies accept any chip that the vendor's root certifies"
    ),
    "image not pinned": Variant(
        replace(FULL, image_pinned=False), PROMPT_SECRECY, "policies believe HOST_DATA under any image"
    ),
    "client pins no broker": Variant(
        replace(FULL, client_pins_broker=False), BROKER_AUTHENTICITY, "a client's policy pins the program alone"
    ),
    "box not signed": Variant(
        replace(FULL, signed_box=False), BROKER_AUTHENTICITY, "the broker signs the transcript without the box"
    ),
    "no replay cache": Variant(
        replace(FULL, replay_cache=False), AT_MOST_ONCE, "a workload opens what it has opened before"
    ),
    "retry in clear": Variant(
        replace(FULL, one_send=False), AT_MOST_ONCE, "an unauthenticated 422 makes a client seal again to a new keyset"
    ),
}


def violations(rules: Rules, state: State) -> Iterator[Violation]:
    """The properties that do not hold in this state; secrets first."""
    yield from _secrecy(rules, state)
    yield from _agreement(state)
    yield from _installed_keys(state)
    for i in range(len(state.clients)):
        times = sum(client == i for workload in state.workloads for client, _ in workload.handled)
        if times > 1:
            yield Violation(AT_MOST_ONCE, f"the prompt of client {i + 1} was handled {times} times")


def _secrecy(rules: Rules, state: State) -> Iterator[Violation]:
    pinned = {w.name for w in state.workloads if w.launch == launch(rules, HONEST, BROKER)}
    for challenge in state.challenges:
        for release in challenge.releases:
            if release.keyset not in pinned:
                yield Violation(FILE_KEY_SECRECY, f"the file key is sealed to {release.keyset}")
    for i, client in enumerate(state.clients):
        if any(accepted.keyset == MALLORY for accepted in client.sent):
            yield Violation(PROMPT_SECRECY, f"mallory reads the prompt of client {i + 1}")


def _agreement(state: State) -> Iterator[Violation]:
    sessions = [(client_nonce(i, n), a) for i, c in enumerate(state.clients) for n, a in enumerate(c.sent)]
    releases = [(challenge_nonce(i), a) for i, c in enumerate(state.challenges) for a in c.releases]
    yield from _each(SESSION_AGREEMENT, SESSION, sessions)
    yield from _each(RELEASE_AGREEMENT, RELEASE, releases)


def _each(name: str, purpose: str, accepted: list[tuple[str, Accepted]]) -> Iterator[Violation]:
    seen: set[Origin] = set()
    for nonce, (keyset, _, origin) in accepted:
        if origin.purpose != purpose:
            yield Violation(PURPOSE_SEPARATION, f"a {origin.purpose} attestation was accepted as a {purpose}")
        if (origin.maker, origin.nonce) != (keyset, nonce):
            got = f"{origin.maker} made it for {origin.nonce}"
            yield Violation(name, f"a {purpose} with {keyset} for {nonce} rests on an attestation, but {got}")
        if origin in seen:
            yield Violation(name, f"two {purpose}s rest on the one attestation for {origin.nonce}")
        seen.add(origin)


def _installed_keys(state: State) -> Iterator[Violation]:
    for workload in state.workloads:
        if workload.key is None:
            continue
        expected = workload.launch.broker or BROKER
        true_key = workload.key.file_key == FILE_KEY
        if true_key != (expected == BROKER):
            yield Violation(
                BROKER_AUTHENTICITY, f"{workload.name} was to take keys from {expected} and holds another's"
            )
        if workload.handled and not true_key:
            yield Violation(BROKER_AUTHENTICITY, f"{workload.name} serves a client with a model that mallory keyed")
