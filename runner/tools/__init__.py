"""Our own tools: each is a command, and a stage of a recipe."""
