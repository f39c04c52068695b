"""Worker processes for what computes for long, and the pool that hands out their work."""
