"""Pictures, arrays and raw frames of stored instances."""
