"""New instances: the data set of what clients give, and the pixels of their images."""
