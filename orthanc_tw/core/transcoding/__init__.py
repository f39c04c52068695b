"""Transcoding of stored files, by worker processes."""
