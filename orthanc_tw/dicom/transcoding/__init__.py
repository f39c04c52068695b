"""Transcoding of a file to another transfer syntax. Used inside worker processes only."""
