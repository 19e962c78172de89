"""The protocol as a state machine small enough to search: attest, release, session, against an active attacker.

Two clients, two genuine TEEs that run the honest program, a broker, and mallory.  Everything is symbolic: a digest is
the value itself, an HPKE box names who can open it, a signature names who made it.  A state is only what the honest
parties have done; what mallory holds follows from it, for the network is mallory's and remembers everything.

Mallory (Dolev-Yao, and more)
  - reads, drops, repeats, reorders and redirects every message; makes keys, boxes, nonces and launch documents;
  - runs programs and whole images of its own in every genuine TEE, and there asks for evidence over anything;
  - holds the attestation key of a third chip, so it writes evidence that verifies, for that chip, about anything;
  - chooses the launch document of the second TEE, runs a broker of its own, and talks to the honest one.
Dropping needs no step: a message that nobody takes up was dropped.

``Rules`` has one switch for each thing the protocol binds or checks.  All on is the protocol of docs/spec/protocol.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

MALLORY, BROKER = "mallory", "broker"
HONEST, EVIL = "honest program", "mallory's program"
IMAGE, OWN_IMAGE = "agent image", "mallory's image"
GENUINE_CHIPS, LEAKED_CHIP = ("chip 1", "chip 2"), "chip 3"
SESSION, RELEASE = "session", "release"
FILE_KEY, MALLORYS_KEY = "the owner's file key", "a file key of mallory's"
NO_CONTEXT = ("no context",)

CLIENTS, CHALLENGES = 2, 2
RELEASE_ATTEMPTS = {"tee 1": 2, "tee 2": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the protocol binds and checks.  The first six are the bindings that carry the rest."""

    nonce: bool = True  # report data holds the verifier's nonce
    key_binding: bool = True  # report data holds the digest of the keyset
    launch_digest: bool = True  # the evidence holds the digest of the launch document
    purpose: bool = True  # report data holds the purpose, and a verifier accepts one
    broker_identity: bool = True  # the launch document names the broker, whose signature the workload demands
    single_use: bool = True  # a challenge is spent by the release that it allowed
    # What those six lean on.
    context: bool = True  # report data holds what the exchange is about: for a release the broker and what is wanted
    allow_list: bool = True  # policies accept the genuine chips only
    image_pinned: bool = True  # policies pin the image, whose agent checks the launch document before it runs it
    client_pins_broker: bool = True  # a client's policy pins the launch document's broker key
    signed_box: bool = True  # the broker's signature covers the box, not the transcript alone
    replay_cache: bool = True  # a workload opens each sealed request once
    one_send: bool = True  # an answer in clear ("unknown key") never makes a client seal its prompt again


# --- What is said ----------------------------------------------------------------------------------------------------


class Launch(NamedTuple):
    """A launch document: the program, and the broker whose keys it will take (None: the document names none)."""

    program: str
    broker: str | None


class Evidence(NamedTuple):
    """What a chip signs.  ``launch`` stands for HOST_DATA, which the host chooses and the agent image checks."""

    chip: str
    image: str
    launch: Launch | None
    report_data: tuple[object, ...]


class Origin(NamedTuple):
    """Who really had the evidence made, and for what.  No party sees it: the properties are written with it."""

    maker: str
    purpose: str
    nonce: str


class Accepted(NamedTuple):
    """One acceptance by a verifier: the keyset (named by its owner) it will now encrypt to, and the ghost origin."""

    keyset: str
    launch: Launch
    origin: Origin


class Answer(NamedTuple):
    """A release answer: transcript (challenge, keyset, launch), the file key boxed to the keyset, who signed."""

    challenge: str
    keyset: str
    launch: Launch
    file_key: str
    signer: str


# --- What the honest parties have done -------------------------------------------------------------------------------


class Client(NamedTuple):
    """A client has one prompt.  ``sent[i]`` accepted the attestation for its i-th nonce and sealed the prompt to it."""

    asked: int = 0
    sent: tuple[Accepted, ...] = ()
    done: bool = False


class Challenge(NamedTuple):
    issued: bool = False
    releases: tuple[Accepted, ...] = ()


class Workload(NamedTuple):
    """The honest program in a genuine TEE, with a keyset of its own that mallory cannot open."""

    name: str
    chip: str
    launch: Launch
    asked: tuple[str, ...] = ()  # the challenges for which it asked a release
    key: Answer | None = None
    handled: tuple[tuple[int, int], ...] = ()  # (client, attempt) of each sealed request that it opened


class State(NamedTuple):
    clients: tuple[Client, ...]
    challenges: tuple[Challenge, ...]
    workloads: tuple[Workload, ...]


class Step(NamedTuple):
    action: str
    text: str
    after: State


def initial_states(rules: Rules) -> Iterator[State]:
    """Mallory, as host, decides which broker the document of the second TEE names."""
    for second in (BROKER, MALLORY) if rules.broker_identity else (BROKER,):
        yield State(
            (Client(),) * CLIENTS,
            (Challenge(),) * CHALLENGES,
            (
                Workload("tee 1", GENUINE_CHIPS[0], launch(rules, HONEST, BROKER)),
                Workload("tee 2", GENUINE_CHIPS[1], launch(rules, HONEST, second)),
            ),
        )


def launch(rules: Rules, program: str, broker: str) -> Launch:
    return Launch(program, broker if rules.broker_identity else None)


def client_nonce(client: int, attempt: int) -> str:
    return f"n{client + 1}" + "'" * attempt


def challenge_nonce(challenge: int) -> str:
    return f"c{challenge + 1}"


# --- Evidence: the one construction, and who can have it made --------------------------------------------------------


def release_context(rules: Rules, broker: str | None) -> tuple[str | None, ...]:
    """What a release is about: the broker, and what is wanted of it."""
    return ("release", broker if rules.broker_identity else None, "weights")


def evidence(
    rules: Rules, chip: str, image: str, document: Launch, purpose: str, nonce: str, keyset: str, context: object
) -> Evidence:
    """Evidence for these six values; a switched-off rule leaves its value out."""
    measured = document if rules.launch_digest else None
    report_data = (
        purpose if rules.purpose else None,
        nonce if rules.nonce else None,
        keyset if rules.key_binding else None,
        measured,
        context if rules.context else None,
    )
    return Evidence(chip, image, measured, report_data)


def nonces(state: State) -> tuple[str, ...]:
    """Every nonce that has been on the network, and one that mallory made."""
    asked = [client_nonce(i, n) for i, client in enumerate(state.clients) for n in range(client.asked)]
    issued = [challenge_nonce(i) for i, challenge in enumerate(state.challenges) if challenge.issued]
    return ("n0", *asked, *issued)


class Network(NamedTuple):
    """What decides which evidence exists: of each workload name, chip, document and challenges; the known nonces."""

    workloads: tuple[tuple[str, str, Launch, tuple[str, ...]], ...]
    nonces: tuple[str, ...]


def network(state: State) -> Network:
    return Network(tuple((w.name, w.chip, w.launch, w.asked) for w in state.workloads), nonces(state))


@cache
def attested(rules: Rules, seen: Network) -> dict[Evidence, tuple[Origin, ...]]:
    """All evidence that the honest workloads have made, or make for whoever asks.

    The session route answers anyone, with any nonce, and keeps no state: so it has answered every nonce that is known.
    It is given more than it has: here the asker also names the context, so that only the purpose tells the result from
    a release.  (The real route always says "no context".)
    """
    made: dict[Evidence, tuple[Origin, ...]] = {}

    def add(purpose: str, name: str, chip: str, document: Launch, nonce: str, context: object) -> None:
        item = evidence(rules, chip, IMAGE, document, purpose, nonce, name, context)
        made[item] = (*made.get(item, ()), Origin(name, purpose, nonce))

    for name, chip, document, asked in seen.workloads:
        for nonce in seen.nonces:
            for context in (NO_CONTEXT, release_context(rules, BROKER)):
                add(SESSION, name, chip, document, nonce, context)
        for nonce in asked:
            add(RELEASE, name, chip, document, nonce, release_context(rules, document.broker))
    return made


def mallory_can_make(rules: Rules, wanted: Evidence) -> bool:
    """A chip whose key leaked signs anything; a genuine chip signs anything about what mallory runs on it."""
    if wanted.chip == LEAKED_CHIP or wanted.image == OWN_IMAGE:
        return True
    evil = launch(rules, EVIL, MALLORY) if rules.launch_digest else None
    return wanted.launch == evil


@cache
def acceptable(
    rules: Rules, seen: Network, purpose: str, nonce: str, context: object, brokers: tuple[str, ...]
) -> tuple[tuple[str, Accepted], ...]:
    """Every attestation report that mallory can show and this verifier accepts, with where it came from in words.

    The verifier rebuilds the report data from its own purpose, nonce and context and from the keyset and launch
    document shown to it; its policy pins the program and, by the rules, the chip, the image and the document's broker.
    """
    made = attested(rules, seen)
    keysets = (MALLORY, *(name for name, *_ in seen.workloads))
    documents = dict.fromkeys(launch(rules, HONEST, broker) for broker in brokers)
    chips = GENUINE_CHIPS if rules.allow_list else (*GENUINE_CHIPS, LEAKED_CHIP)
    images = (IMAGE,) if rules.image_pinned else (IMAGE, OWN_IMAGE)
    found: list[tuple[str, Accepted]] = []
    for keyset, document, chip, image in product(keysets, documents, chips, images):
        wanted = evidence(rules, chip, image, document, purpose, nonce, keyset, context)
        for origin in made.get(wanted, ()):
            text = f"made by {origin.maker} as a {origin.purpose} attestation for {origin.nonce}"
            found.append((text, Accepted(keyset, document, origin)))
        if mallory_can_make(rules, wanted):
            found.append((f"made by mallory on {chip}", Accepted(keyset, document, Origin(MALLORY, purpose, nonce))))
    return tuple(found)


# --- The steps of the honest parties ---------------------------------------------------------------------------------


def steps(rules: Rules, state: State) -> Iterator[Step]:
    """Everything that can happen next.  Any message is taken from what mallory holds or can make."""
    for i in range(len(state.clients)):
        yield from client_steps(rules, state, i)
    for i in range(len(state.challenges)):
        yield from broker_steps(rules, state, i)
    for i in range(len(state.workloads)):
        yield from workload_steps(rules, state, i)


def client_steps(rules: Rules, state: State, i: int) -> Iterator[Step]:
    client, name = state.clients[i], f"client {i + 1}"

    def then(**change: Any) -> State:
        return state._replace(clients=_put(state.clients, i, client._replace(**change)))

    # Clients differ in nothing but their number: the first to ask is called client 1.
    first = client.asked == 0 and (i == 0 or state.clients[i - 1].asked > 0)
    again = not rules.one_send and client.asked == len(client.sent) == 1 and not client.done
    if first or again:
        why = "is told in clear that its key is unknown, and asks again" if again else "asks for an attestation"
        yield Step("ask", f"{name} {why}, nonce {client_nonce(i, client.asked)}", then(asked=client.asked + 1))

    if client.asked > len(client.sent):
        nonce, brokers = client_nonce(i, client.asked - 1), (BROKER,) if rules.client_pins_broker else (BROKER, MALLORY)
        for source, accepted in acceptable(rules, network(state), SESSION, nonce, NO_CONTEXT, brokers):
            if any(accepted.keyset == earlier.keyset for earlier in client.sent):
                continue  # a client that seals again does so only to a keyset that is new to it
            text = f"{name} accepts evidence {source}, and seals its prompt to {accepted.keyset}"
            yield Step("seal", text, then(sent=(*client.sent, accepted)))

    # The response opens only with the secret of the request, and carries a receipt signed by the keyset.
    if len(client.sent) == client.asked > 0 and not client.done:
        keyset, request = client.sent[-1].keyset, (i, client.asked - 1)
        if keyset == MALLORY or any(request in w.handled for w in state.workloads if w.name == keyset):
            yield Step("finish", f"{name} opens the response and its receipt from {keyset}", then(done=True))


def broker_steps(rules: Rules, state: State, i: int) -> Iterator[Step]:
    challenge, nonce = state.challenges[i], challenge_nonce(i)

    def then(**change: Any) -> State:
        return state._replace(challenges=_put(state.challenges, i, challenge._replace(**change)))

    # Challenges too differ only in their number.
    if not challenge.issued and (i == 0 or state.challenges[i - 1].issued):
        yield Step("challenge", f"broker issues challenge {nonce}", then(issued=True))

    if challenge.issued and not (rules.single_use and challenge.releases):
        # The owner need not pin the document's broker: the context, made by the honest program, names it.
        context, brokers = release_context(rules, BROKER), (BROKER, MALLORY)
        for source, accepted in acceptable(rules, network(state), RELEASE, nonce, context, brokers):
            text = f"broker accepts for {nonce} evidence {source}, and seals the file key to {accepted.keyset}"
            yield Step("release", text, then(releases=(*challenge.releases, accepted)))


def workload_steps(rules: Rules, state: State, i: int) -> Iterator[Step]:
    workload = state.workloads[i]

    def then(**change: Any) -> State:
        return state._replace(workloads=_put(state.workloads, i, workload._replace(**change)))

    # Challenges are not signed, so any nonce passes for one: a client's too.
    if workload.key is None and len(workload.asked) < RELEASE_ATTEMPTS[workload.name]:
        for nonce in nonces(state):
            if nonce not in workload.asked:
                text = f"{workload.name} attests for challenge {nonce} and asks a release"
                yield Step("request", text, then(asked=(*workload.asked, nonce)))

    if workload.key is None and workload.asked:
        for answer in answers(rules, state, workload):
            if answer.signer == workload.launch.broker or not rules.broker_identity:
                text = f"{workload.name} takes {answer.file_key} from an answer signed by {answer.signer}"
                yield Step("install", text, then(key=answer))

    if workload.key is not None:
        for c, client in enumerate(state.clients):
            for attempt, accepted in enumerate(client.sent):
                request = (c, attempt)
                fresh = request not in workload.handled or not rules.replay_cache
                if accepted.keyset == workload.name and fresh:
                    text = f"{workload.name} opens and answers the sealed request of client {c + 1}"
                    yield Step("handle", text, then(handled=(*workload.handled, request)))


def answers(rules: Rules, state: State, to: Workload) -> Iterator[Answer]:
    """Every answer for the workload's outstanding challenge, boxed to its release key, that mallory can deliver.

    HPKE in base mode says nothing of the sender and the transcript is public, so mallory seals a box as well as anyone.
    """
    nonce = to.asked[-1]
    yield Answer(nonce, to.name, to.launch, MALLORYS_KEY, MALLORY)
    for i, challenge in enumerate(state.challenges):
        for release in challenge.releases:
            if (challenge_nonce(i), release.keyset, release.launch) == (nonce, to.name, to.launch):
                yield Answer(nonce, to.name, to.launch, FILE_KEY, BROKER)
                if not rules.signed_box:
                    yield Answer(nonce, to.name, to.launch, MALLORYS_KEY, BROKER)


def _put(items: tuple[T, ...], i: int, item: T) -> tuple[T, ...]:
    return (*items[:i], item, *items[i + 1 :])
