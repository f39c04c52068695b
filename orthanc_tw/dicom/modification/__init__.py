"""Modification and de-identification of one instance; see ``docs/modification.rst``."""
