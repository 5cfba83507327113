"""eval.score: a model's answers to prompts, scored by rules."""
