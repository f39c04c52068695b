"""Services of others that this server uses."""
