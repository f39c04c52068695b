"""Asking other application entities: what to ask at each level, asking it, keeping the answers."""
