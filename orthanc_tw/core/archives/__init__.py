"""Archives and media: which members a ZIP has, and how they get into it."""
