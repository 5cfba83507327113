"""What a tool refuses to do, and what it stops at, said in one sentence."""


class ToolError(Exception):
    """A user can mend this: the message says what is wrong and the way out."""


class NotFiniteError(RuntimeError):
    """The loss is nan or infinite: every weight from here on would be (T71, T72)."""
