"""eval.score: a model's answers to prompts, judged by rules."""
