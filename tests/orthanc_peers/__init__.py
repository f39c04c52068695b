"""`orthanc_tw.peers`; ``tests.peers`` has real servers."""
