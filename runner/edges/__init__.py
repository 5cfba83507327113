"""The effects: files, processes, terminals. Thin, and without decisions."""
