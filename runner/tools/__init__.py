"""The tools of our own: each a command, and a stage of a recipe."""
