"""Breadth-first search of every state that the rules allow: the first violation found has a shortest trace."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from model.properties import Violation, violations
from model.protocol import FILE_KEY, Rules, State, initial_states, steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    violation: Violation
    trace: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a search saw.  No ``attack``: the search ran out of states, so the properties hold within the bounds."""

    states: int
    transitions: int
    depth: int
    actions: Counter[str]
    honest_run: tuple[str, ...] | None  # the shortest way to everybody's success
    attack: Attack | None


def search(rules: Rules, *, only: str | None = None) -> Result:
    """Visit every reachable state, or stop at the first that violates a property (``only``: that property)."""
    came_from: dict[State, tuple[State, str] | None] = dict.fromkeys(initial_states(rules))
    queue = deque((state, 0) for state in came_from)
    actions: Counter[str] = Counter()
    depth, honest_run, attack = 0, None, None
    while queue and attack is None:
        state, depth = queue.popleft()
        for step in steps(rules, state):
            actions[step.action] += 1
            if step.after in came_from:
                continue
            came_from[step.after] = (state, step.text)
            queue.append((step.after, depth + 1))
            if honest_run is None and everybody_succeeded(step.after):
                honest_run = _trace(came_from, step.after)
            found = next((v for v in violations(rules, step.after) if only in {None, v.property}), None)
            if found is not None:
                attack = Attack(violation=found, trace=_trace(came_from, step.after))
                break
    return Result(
        states=len(came_from),
        transitions=actions.total(),
        depth=depth,
        actions=actions,
        honest_run=honest_run,
        attack=attack,
    )


def everybody_succeeded(state: State) -> bool:
    """Each client has its answer, and each TEE has the file key by a challenge of its own."""
    keyed = all(w.key is not None and w.key.file_key == FILE_KEY for w in state.workloads)
    return keyed and all(client.done for client in state.clients)


def _trace(came_from: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    lines: list[str] = []
    while (before := came_from[state]) is not None:
        state, text = before
        lines.append(text)
    return tuple(reversed(lines))
