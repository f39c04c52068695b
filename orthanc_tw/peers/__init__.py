"""Other Orthanc servers: who they are, and the HTTP client that talks to them."""
