"""Feeds noise to every parser: only typed refusals, in bounded time and memory.

``targets`` is the register of parsers and their genuine inputs; ``noise`` makes inputs from those; ``run`` feeds them,
in a process of limited memory; ``guided`` does the same with atheris, which follows the branches that an input takes.
"""
