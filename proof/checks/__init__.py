"""Deletes each check of the source in turn, in memory only, and demands that a test fails.

``find`` finds the checks of a module and says how each is deleted; ``lines`` records which tests execute which lines;
``trial`` runs tests against a module with one check deleted, in a forked child; ``run`` does so for all of them;
``equivalent.toml`` lists deletions that change nothing, each with its reason.
"""
