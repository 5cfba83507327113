"""How a stage ended and the end of its log in, the class of failure and guidance out."""

import re

from msgspec import Struct

AUDIT = 6
KILLED = frozenset({-9, 137})
CRASHED = frozenset({-11, -6, -10, -5, 139, 134, 138, 133})


class Failure(Struct, frozen=True, kw_only=True):
    """A class of failure: its way out, the signs of it in a log, whether a retry can help."""

    kind: str
    guidance: str
    signs: tuple[str, ...] = ()
    retry: bool = False
    smokes: bool = False  # a smoke run does without what is missing


UNKNOWN = Failure(kind="unknown", guidance="See the last lines of the log.")
DRIFT = Failure(
    kind="audit",
    guidance=(
        "The tool received values that differ from the plan; the log's last lines list them. The "
        "stage was stopped, and its outputs are not used."
    ),
)
UNSEEN = Failure(
    kind="not audited",
    guidance=(
        "The process reported success but exited before its outputs could be checked. What it did "
        "is unknown, so its outputs are not used."
    ),
)
MEMORY = Failure(
    kind="out of memory",
    guidance=(
        "The machine ran out of memory. Lower batch_size first (and raise grad_accumulation_steps "
        "by the same factor to keep the effective batch), then max_seq_length; set "
        "grad_checkpoint: true; or train fewer blocks with num_layers."
    ),
    signs=(
        r"Insufficient Memory",
        r"Resource limit \(\d+\) exceeded",
        r"greater than the maximum allowed buffer size",
        r"\bMemoryError\b",
    ),
)

END = Failure(
    kind="killed",
    guidance=(
        "The process was killed, most likely by the system because memory ran out. Close other "
        "programs, or reduce the memory the stage needs."
    ),
)
CRASH = Failure(
    kind="crashed",
    guidance=(
        "The process crashed without an error message. MLX on a CPU, and sometimes Metal, ends "
        "this way when memory runs out."
    ),
)

# The most telling first; the signs are from the facts' table of exit codes and texts.
FAILURES = (
    Failure(
        kind="non-finite",
        guidance=(
            "The loss became nan or infinite. Lower learning_rate; with mask_prompt, look for rows"
            " whose prompts are longer than max_seq_length (T71)."
        ),
        signs=(r"NotFiniteError",),
    ),
    Failure(
        kind="forgotten",
        guidance=(
            "The retention loss exceeded stop_above before any checkpoint within it was saved, so "
            "there is no adapter to use. Lower learning_rate, replay more rows of the first data "
            "set, or lower save_every."
        ),
        signs=(r"ForgottenError",),
    ),
    Failure(
        kind="cannot resume",
        guidance=(
            "The training was interrupted and cannot resume from its saved state. Set continue: "
            "false to train from the beginning."
        ),
        signs=(r"GoOnError",),
    ),
    Failure(
        kind="output",
        guidance=(
            "The tool exited without an error, but its output is wrong: the line above says why, "
            "and what to change."
        ),
        signs=(r"OutputError",),
    ),
    MEMORY,
    Failure(
        kind="GPU watchdog",
        guidance=(
            "macOS stopped the GPU because a step kept the display waiting. Let the display sleep,"
            " or lower batch_size or max_seq_length."
        ),
        signs=(r"ErrorImpactingInteractivity",),
        retry=True,
    ),
    Failure(
        kind="too many files",
        guidance=(
            "The shell that started the run allows too few open files: mlx-lm needs 4096. Start it "
            "from a shell where ulimit -Hn prints 4096 or more."
        ),
        signs=(r"\[Errno (24|23)\]", r"Too many open files", r"not allowed to raise maximum limit"),
    ),
    Failure(
        kind="disk full",
        guidance=(
            "The disk is full, and the file being written is truncated. Free some space, or raise "
            "save_every to keep fewer checkpoints, and run again."
        ),
        signs=(r"No space left on device", r"\[write\] Unable to write"),
    ),
    # Before the rest of the hub's: after its work, mlx_lm uploads with a function that 2.0 removed.
    Failure(
        kind="hub too new",
        guidance=(
            "Only the upload failed: mlx_lm uploads with a function that huggingface_hub 2.0 "
            "removed. Remove 'upload_repo' and add an hf.upload stage, or install "
            "huggingface_hub<2."
        ),
        signs=(r"no attribute 'upload_large_folder'",),
    ),
    Failure(
        kind="gated model",
        guidance=(
            "The model is gated. Accept its licence on its page, log in with 'hf auth login', and "
            "run again."
        ),
        signs=(r"GatedRepoError", r"Access denied\..* requires approval"),
    ),
    Failure(
        kind="hub not reachable",
        guidance=(
            "The model or data set is not on this disk, and the hub cannot be reached. Check the "
            "network and HF_HUB_OFFLINE, or give a local path."
        ),
        signs=(
            r"LocalEntryNotFoundError",
            r"Local entry not found",
            r"OfflineModeIsEnabled",
            r"Connect(ion)?(Error|Timeout)",
            r"Max retries exceeded",
            r"Temporary failure in name resolution",
            r"nodename nor servname",
            r"Name or service not known",
        ),
        retry=True,
        smokes=True,
    ),
    Failure(
        kind="model not found",
        guidance=(
            "Neither a folder nor a hub repository with that name exists: mlx-lm treats a missing "
            "local path as a hub id (T23). Check 'model' and 'data', the revision and the file "
            "names. The hub answers the same for a private repository: log in with 'hf auth login'."
        ),
        signs=(
            r"(Repository|Revision|Entry)NotFoundError",
            r"HFValidationError",
            r"404 Client Error",
            r"(Model|Dataset|Space|Repository|Kernel) '[^']+' not found",
            r"(Revision|File) not found in ",
        ),
    ),
    Failure(
        kind="not logged in",
        guidance=(
            "The hub requires a login. Log in with 'hf auth login', or set HF_TOKEN to a token "
            "with write access, and run again."
        ),
        signs=(
            r"401 Unauthorized",
            r"403 Forbidden",
            r"Invalid username or password",
            r"LocalTokenNotFoundError",
        ),
    ),
    Failure(
        kind="adapter mismatch",
        guidance=(
            "The adapter does not fit this model. Its rank, keys, num_layers and fine_tune_type "
            "must match its training (T50-T54)."
        ),
        signs=(r"contains incompatible tensors", r"adapter path does not exist"),
    ),
    Failure(
        kind="damaged model",
        guidance=(
            "A weight file is truncated or is not a weight file. Download the model again ('hf "
            "download' detects incomplete files), or, if a stage made the model, run that stage "
            "again."
        ),
        signs=(
            r"invalid data offsets",
            r"Invalid json header length",
            r"\[read\] Unable to read",
            r"No safetensors found",
            r"corrupt file\?",
        ),
    ),
    Failure(
        kind="unsupported model",
        guidance=(
            "The installed mlx-lm does not support this model type. A newer release may: pip "
            "install -U mlx-lm. Otherwise choose another model."
        ),
        signs=(r"Model type \S+ not supported",),
    ),
    Failure(
        kind="not a model",
        guidance=(
            "The folder is not a complete model: its config.json is missing or does not match its "
            "weights. An adapter folder is not a model: fuse it first."
        ),
        signs=(
            r"No such file or directory: '[^']*config\.json'",
            r"Expected shape .* but received shape",
        ),
    ),
    Failure(
        kind="no tokenizer",
        guidance=(
            "The model folder has no tokenizer that can be loaded. Copy tokenizer.json and "
            "tokenizer_config.json from the original model, or install the package that the log "
            "names."
        ),
        signs=(r"sentencepiece or tiktoken", r"Can't load tokenizer"),
    ),
    Failure(
        kind="too few tokens",
        guidance=(
            "The data has fewer tokens than num_samples sequences of sequence_length need (T94). "
            "Lower num_samples, or add rows."
        ),
        signs=(r"dataset\.process\(dataset\[perm\[i\]\]\)",),
    ),
    Failure(
        kind="data",
        guidance=(
            "The data cannot be used as it is. Each split needs at least batch_size rows: one JSON "
            "object per line, all in one format."
        ),
        signs=(
            r"JSONDecodeError",
            r"Dataset must have at least",
            r"(Training|Test) set not found",
            r"Unsupported data format",
            r"KeyError: '(messages|text|prompt|completion)'",
            r"chat template functions",
        ),
    ),
    Failure(
        kind="chat template",
        guidance=(
            "The model's chat template rejects a row or a prompt; the last line of the log says "
            "why. To find the rows: run-recipe data check DATA --model MODEL, where both are "
            "folders."
        ),
        signs=(r"jinja2\.exceptions\.", r'File "<template>"', r"in apply_chat_template\b"),
    ),
    Failure(
        kind="data not found",
        guidance=(
            "The folder that 'data' names does not exist, so mlx-lm looked for it on the hub, "
            "which needs another package (T23). Paths are relative to the working directory."
        ),
        signs=(r"No module named 'datasets'",),
    ),
    Failure(
        kind="not installed",
        guidance="A package the stage needs is missing; the log's last line names it.",
        signs=(r"No module named",),
    ),
    Failure(
        kind="wrong options",
        guidance=(
            "The installed tool does not accept these options: the plan was made for another "
            "release. Check with run-recipe check RECIPE --mlx and run-recipe doctor."
        ),
        signs=(r"(?m)^\S+: error: (unrecognized|argument|ambiguous|the following)",),
    ),
    Failure(
        kind="refused",
        guidance=(
            "The tool rejected its input; the log's last lines say which, and what to change."
        ),
        signs=(r"(?m)^error: ",),
    ),
)


def classify(exit_code: int, tail: str) -> Failure:
    """Return the class of a failure; a negative exit code is the signal that ended it."""
    if exit_code == AUDIT:
        return DRIFT
    for failure in FAILURES:
        if any(re.search(sign, tail) for sign in failure.signs):
            return failure
    if exit_code in KILLED:
        return END
    return CRASH if exit_code in CRASHED else UNKNOWN
