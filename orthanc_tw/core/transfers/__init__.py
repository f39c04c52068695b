"""The transfers accelerator: instances between servers in buckets of bytes. No HTTP."""
