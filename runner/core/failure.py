"""How a stage ended and the tail of its log in, the class of failure and its way out."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Failure:
    """A class of failure; `retry` says whether trying the same again can help."""

    kind: str
    guidance: str
    retry: bool = False


_OOM = (
    "The machine ran out of memory. Lower batch_size first (and raise grad_accumulation_steps by "
    "the same factor to keep the effective batch), then max_seq_length; set grad_checkpoint: true; "
    "or train fewer blocks with num_layers."
)
# Signs in the log, most telling first; texts from the facts' table of exit codes.
_SIGNS: tuple[tuple[str, Failure], ...] = (
    (r"Insufficient Memory|OutOfMemory|Resource limit \(\d+\) exceeded|greater than the maximum "
     r"allowed buffer size|\bMemoryError\b", Failure("out of memory", _OOM)),
    (r"ErrorImpactingInteractivity", Failure(
        "GPU watchdog", "macOS stopped the GPU because a step kept the display waiting. Let the "
        "display sleep, or lower batch_size or max_seq_length.", retry=True)),
    (r"No space left on device|\[write\] Unable to write", Failure(
        "disk full", "The disk is full; what was being written is truncated. Free some space, or "
        "raise save_every so that fewer checkpoints are kept, and run again.")),
    (r"GatedRepoError|401 Client Error|restricted", Failure(
        "gated model", "The model is gated. Accept its licence on its page and log in with "
        "'hf auth login', then run again.")),
    (r"LocalEntryNotFoundError|OfflineModeIsEnabled|ConnectionError|ConnectTimeout|"
     r"Max retries exceeded|Temporary failure in name resolution|Name or service not known|"
     r"ConnectError|nodename nor servname", Failure(
        "hub not reachable", "The model or data set is not on this disk and the hub cannot be "
        "reached. Check the network and HF_HUB_OFFLINE, or give a local path. To try the recipe "
        "without the hub: --smoke.", retry=True)),
    (r"RepositoryNotFoundError|HFValidationError|404 Client Error", Failure(
        "model not found", "No folder and no hub repository of that name exists: a local path "
        "that does not exist is taken for a hub id (T23). Look at 'model' and 'data'.")),
    (r"contains incompatible tensors|adapter shape|adapter path does not exist", Failure(
        "adapter mismatch", "The adapter does not fit this model. Its rank, keys, num_layers and "
        "fine_tune_type must be those it was trained with (T50-T54).")),
    (r"JSONDecodeError|Dataset must have at least|Training set not found|Test set not found|"
     r"Unsupported data format|KeyError: '(messages|text|prompt|completion)'|"
     r"chat template functions", Failure(
        "data", "The data cannot be used as it is. Each split needs at least batch_size rows, one "
        "JSON object a line, all of one format.")),
    (r"No module named 'mlx|No module named 'datasets|No module named 'lm_eval", Failure(
        "not installed", "A package the stage needs is missing; the log's last line names it.")),
)  # fmt: skip
_UNKNOWN = Failure("unknown", "The last lines of the log say more.")


def classify(exit_code: int, tail: str) -> Failure:
    """Return the class of a failure; a negative exit code is the signal that ended it."""
    if exit_code == _AUDIT:
        why = "What MLX got differs from the plan; the stage was stopped before it trained."
        return Failure("audit", why)
    if "NotFiniteError" in tail:
        return Failure(
            "non-finite",
            "The loss became nan or infinite. Lower learning_rate; with mask_prompt look for rows "
            "whose prompts are longer than max_seq_length (T71).",
        )
    for pattern, failure in _SIGNS:
        if re.search(pattern, tail):
            return failure
    if exit_code in {-11, -9, -6, 139, 137, 134}:
        return Failure("out of memory", f"The process was killed without a word. {_OOM}")
    return _UNKNOWN


_AUDIT = 6
