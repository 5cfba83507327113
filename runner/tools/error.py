"""What a tool refuses to do, said in one sentence."""


class ToolError(Exception):
    """A user can mend this: the message says what is wrong and the way out."""
