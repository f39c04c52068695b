"""Modifying stored instances: what is planned, done in workers, stored, and cleaned up after."""
