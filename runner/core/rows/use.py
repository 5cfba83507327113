"""What rows are for: their keys, the roles and the splits, and the training that reads them."""

from dataclasses import dataclass

SPLITS = ("train", "valid", "test")
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


@dataclass(frozen=True, slots=True)
class Features:
    """The keys of a row; mlx-lm's ``prompt_feature``, ``chat_feature``, … rename them."""

    prompt: str = "prompt"
    completion: str = "completion"
    chat: str = "messages"
    text: str = "text"


@dataclass(frozen=True, slots=True)
class Use:
    """What the rows will be trained with, and how many problems of a kind to show per file."""

    features: Features = Features()
    mask_prompt: bool = False
    batch_size: int | None = None
    max_seq_length: int = 2048
    roles: frozenset[str] = ROLES
    limit: int = 20
    every: bool = True
    """Whether every row is tokenized, or only those that could be cut or masked."""
