"""New instances: from the body of a request to what is stored."""
