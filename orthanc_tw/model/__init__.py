"""Values only: levels, identifiers, states, error codes. Standard library, no I/O, no clock."""
