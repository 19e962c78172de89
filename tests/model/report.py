"""What the searches found, as the text that docs/spec/protocol.md holds.

PYTHONPATH=tests python -m model.report            prints it
PYTHONPATH=tests python -m model.report --write    puts it into the document
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from model.properties import FULL, FURTHER, WEAKENED
from model.search import Attack, Result, search

DOCUMENT = Path(__file__).parents[2] / "docs" / "spec" / "protocol.md"
BEGIN = "<!-- what the model found: written by tests/model/report.py -->"
END = "<!-- end of what the model found -->"


@cache
def result(variant: str | None = None) -> Result:
    """The search of the full protocol, or of a variant by its name.  Kept, for it takes seconds."""
    return search(FULL if variant is None else (WEAKENED | FURTHER)[variant].rules)


def render() -> str:
    """Markdown: the size of the exhausted search, the six attack traces, a table of the further variants."""
    full = result()
    assert full.honest_run is not None
    holds = "every property holds" if full.attack is None else f"BROKEN: {full.attack.violation.text}"
    lines = [
        "```text",
        f"full protocol: {full.states:,} states, {full.transitions:,} steps, at most {full.depth} deep: {holds}",
        f"the shortest run in which everybody succeeds has {len(full.honest_run)} steps",
    ]
    for name, variant in WEAKENED.items():
        attack = result(name).attack
        lines += ["", f"{name}: {variant.why}", *(_attack(attack) if attack else ("  NO ATTACK FOUND",))]
    lines += ["```", "", "| Variant | What changes | Breaks | In steps |", "|---|---|---|---|"]
    for name, variant in FURTHER.items():
        attack = result(name).attack
        broken, steps = (attack.violation.property, len(attack.trace)) if attack else ("NOTHING", 0)
        lines.append(f"| {name} | {variant.why} | {broken} | {steps} |")
    return "\n".join(lines)


def _attack(attack: Attack) -> list[str]:
    steps = [f"  {number}. {text}" for number, text in enumerate(attack.trace, 1)]
    return [*steps, f"  breaks {attack.violation.property}: {attack.violation.text}"]


def kept() -> str:
    """The text between the document's marks."""
    return DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    text = render()
    print(text)
    if "--write" in sys.argv[1:]:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
