"""Codecs of pixel data: one frame in, one frame out. Used inside worker processes only.

Importing this package imports no codec: each is imported by the first frame that needs it.
"""
