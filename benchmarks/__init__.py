"""The same work on this server and on Debian's Orthanc, side by side: ``python -m benchmarks``."""
