"""One module a family of rules; a rule's docstring is its page."""
