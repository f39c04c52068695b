"""Services that this server provides to others."""
