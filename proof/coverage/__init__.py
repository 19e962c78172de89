"""docs/coverage.md: for each TEE and check, what passes it, what it refuses, and where there is a Gap.

``emitted`` verifies every specimen and appraises it, to learn which checks there are; ``refusals`` runs the tests and
notes which check each of them saw refuse; ``page`` puts both beside the mutants of the last campaign.
"""
