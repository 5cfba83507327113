"""What a tool refuses to do, and what it stops at, said in one sentence."""


class ToolError(Exception):
    """A user can mend this: the message says what is wrong and the way out."""


class TrainingError(RuntimeError):
    """A training that ends without a result; the message says why."""


class NotFiniteError(TrainingError):
    """The loss is nan or infinite: every weight from here on would be (T71, T72)."""


class ForgottenError(TrainingError):
    """The training passed the bound of its watch before any weights within it were saved."""


class GoOnError(TrainingError):
    """A training cannot go on from what was saved, or not with this mlx-lm."""
