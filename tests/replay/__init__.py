"""Replays the reference corpus against a fresh server a topic: ``python -m tests.replay``."""
