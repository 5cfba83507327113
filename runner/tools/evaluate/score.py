"""eval.score: lets a model answer prompts, checks each answer by rules, and computes scores.

Reads a JSONL of prompts (docs/evaluation.md); writes a folder with samples.jsonl, one answered
prompt per line, and score.json. If it is stopped, the answers so far are in samples.jsonl.part.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from runner.base.errors import Exit, ToolError
from runner.base.problems import picture, plural
from runner.data.refusals import Precheck
from runner.system import printer
from runner.tools.evaluate import grade
from runner.tools.evaluate.answers import Answer, Model, Sampling, refuse_code
from runner.tools.evaluate.prompts_file import Prompts, survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from runner.tools.evaluate.prompts import Question

SAMPLES = "samples.jsonl"
PART = "samples.jsonl.part"
REPORT = "score.json"
PATIENCE = 2.0
"""Seconds of work one pattern may take on one answer; a usual one takes a thousandth."""


class Sheet:
    """The samples on disk, in the order of the prompts, whatever order they are answered in."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.count = 0
        self.early: dict[int, str] = {}

    def put(self, number: int, sample: dict[str, Any]) -> None:
        """Keep the sample of question `number`; write it once those before it are written."""
        self.early[number] = json.dumps(sample, ensure_ascii=False) + "\n"
        while self.count in self.early:
            self.stream.write(self.early.pop(self.count))
            self.count += 1
        self.stream.flush()

    @property
    def total(self) -> int:
        """How many samples it has, written or to be written at the end."""
        return self.count + len(self.early)

    def end(self) -> None:
        """Write what is left where one before it was never answered."""
        for number in sorted(self.early):
            self.stream.write(self.early.pop(number))
        self.stream.flush()


class Scoring(Struct, kw_only=True):
    """A model that answers the questions of a file, and what became of them so far."""

    prompts: Prompts
    model: Model
    scores: grade.Scores
    sheet: Sheet
    limit: int | None
    system_prompt: str | None
    template: Mapping[str, Any]
    answer_after: str | None
    pending: dict[int, tuple[int, Question]] = field(default_factory=dict)
    tokens: int = 0
    cut: int = 0

    def questions(self) -> Iterator[tuple[int, list[int]]]:
        """Yield each question's number and tokens, and remember it until it is answered."""
        for number, (line, question) in enumerate(self.prompts.questions(self.limit)):
            self.pending[number] = line, question
            try:
                yield number, self.model.tokens(question, self.system_prompt, self.template)
            except ValueError as error:
                why = f"{self.prompts.file}:{line}: cannot be used: {error}"
                raise ToolError(why) from error

    def take(self, number: int, answer: Answer) -> None:
        """Judge the answer to a question, and keep it."""
        line, question = self.pending.pop(number)
        text = answer.text
        if self.answer_after:
            text = text.rpartition(self.answer_after)[2]
        grades = grade.verdicts(question.rules, text, search)
        for verdict in grades:
            if verdict.held is None:
                printer.say(
                    f"{self.prompts.file}:{line}: gave up {verdict.rule.kind} "
                    f"{verdict.rule.target!r} after {PATIENCE:g} s; it counts as failed. Nested "
                    "repeats such as (a+)+ never finish: rewrite the pattern without them"
                )
        self.scores.add(question, grades)
        self.tokens += answer.tokens
        self.cut += answer.cut
        self.sheet.put(number, _sample(line, question, answer, grades))


def score(prompts: Prompts, arguments: argparse.Namespace) -> dict[str, Any]:
    """Answer and judge every question of a file without a problem; return what score.json holds."""
    out: Path = arguments.out
    _make_room(out)
    model = Model(
        arguments.model, arguments.adapter_path, trust_remote_code=arguments.trust_remote_code
    )
    if prompts.chats:
        model.require_template(f"{prompts.file}:{prompts.chats}")
    with (out / PART).open("w", encoding="utf-8") as stream:
        scoring = Scoring(
            prompts=prompts,
            model=model,
            scores=grade.Scores(prompts.categories),
            sheet=Sheet(stream),
            limit=arguments.limit,
            system_prompt=arguments.system_prompt,
            template=arguments.chat_template_config,
            answer_after=arguments.answer_after,
        )
        began = time.perf_counter()
        try:
            _answer_all(scoring, arguments)
        finally:
            scoring.sheet.end()
        seconds = time.perf_counter() - began
    report = {
        "tool": "eval.score",
        **scoring.scores.figures(),
        "cut": scoring.cut,
        "generated_tokens": scoring.tokens,
        "tokens_per_second": round(scoring.tokens / seconds, 3),
    }
    (out / PART).replace(out / SAMPLES)
    (out / REPORT).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _answer_all(scoring: Scoring, arguments: argparse.Namespace) -> None:
    import mlx.core as mx

    mx.random.seed(arguments.seed)
    batch_size = arguments.batch_size
    if batch_size > 1 and not scoring.model.batches():
        printer.say("mlx-lm cannot batch this model's cache: one prompt at a time")
        batch_size = 1
    answers = scoring.model.answers(
        scoring.questions(),
        max_tokens=arguments.max_tokens,
        batch_size=batch_size,
        sampling=Sampling(
            temp=arguments.temp, top_p=arguments.top_p, top_k=arguments.top_k, min_p=arguments.min_p
        ),
    )
    meter = AnswerMeter(scoring.prompts.count(scoring.limit))
    try:
        for number, answer in answers:
            scoring.take(number, answer)
            meter.show(scoring.sheet.total)
    except KeyboardInterrupt:
        place = arguments.out / PART
        printer.say(
            f"stopped: {scoring.sheet.total} of {meter.total} are answered and kept in {place}"
        )
        raise
    finally:
        meter.end()


def search(pattern: str, text: str) -> bool:
    """Return whether a pattern is found in a text. Raises TimeoutError if that takes too long."""
    with _patience(PATIENCE):
        return re.search(pattern, text) is not None


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up what takes longer: Python's matching looks for signals while it goes on.

    Seconds of this process's work, so that a busy machine is no reason.
    """

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class AnswerMeter:
    """How far it is: one line for a terminal; elsewhere one each tenth of the way, or minute."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.live = sys.stderr.isatty()
        self.tenth = 0
        self.last = time.monotonic()

    def show(self, done: int) -> None:
        """Show how many are answered."""
        tenth = 10 * done // self.total
        if self.live:
            printer.redraw(f"answered {done} of {self.total}")
        elif tenth > self.tenth or time.monotonic() > self.last + 60:
            printer.say(f"answered {done} of {self.total}")
            self.tenth, self.last = tenth, time.monotonic()

    def end(self) -> None:
        """Leave an empty line."""
        if self.live:
            printer.redraw()


def _sample(
    line: int, question: Question, answer: Answer, grades: Sequence[grade.Grade]
) -> dict[str, Any]:
    labels = {"id": question.id, "category": question.category}
    return {
        "line": line,
        **{name: value for name, value in labels.items() if value},
        question.key: question.prompt,
        "answer": answer.text,
        "cut": answer.cut,
        "score": float(grade.score(grades)),
        "rules": [verdict.as_dict() for verdict in grades],
    }


def _make_room(out: Path) -> None:
    """Make the folder; one that holds other files than ours is refused."""
    room(out=out)
    out.mkdir(parents=True, exist_ok=True)
    for name in (SAMPLES, REPORT):
        (out / name).unlink(missing_ok=True)


def prepare(*, model: str, trust_remote_code: bool, **_: object) -> None:
    """Raise ToolError for a model on this disk that brings code which is not to be run."""
    if not trust_remote_code and Path(model).is_dir():
        refuse_code(Path(model))


def room(*, out: Path, **_: object) -> None:
    """Raise ToolError if the output folder is none, or holds other files than ours."""
    if out.is_file():
        raise ToolError(f"{out} is a file; name a folder to write", "out")
    there = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    strange = sorted(there - {SAMPLES, PART, REPORT})
    if strange:
        why = f"{out} contains {strange[0]}, which eval.score did not write; name another folder"
        raise ToolError(why, "out")


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="run-recipe eval score",
        description="Let a model answer prompts, check each answer by rules, and compute scores.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="a local model folder, or a hub id")
    add("--adapter-path", metavar="DIR", help="an adapter to put on the model")
    add("--prompts", type=Path, required=True, metavar="FILE", help="a JSONL of prompts and rules")
    add("--out", type=Path, required=True, metavar="DIR", help="the output folder")
    add("--limit", type=_positive, metavar="N", help="the first N prompts of each category only")
    add("--max-tokens", type=_positive, default=256, help="maximum tokens per answer")
    add("--batch-size", type=_positive, default=8, help="prompts answered at the same time")
    add("--system-prompt", metavar="TEXT", help="a system message before every prompt")
    add(
        "--chat-template-config",
        type=json.loads,
        default={},
        metavar="JSON",
        help="template options",
    )
    add("--answer-after", metavar="TEXT", help="score only what follows the last TEXT")
    add("--temp", type=float, default=0.0, help="sampling temperature; 0 is greedy")
    add("--top-p", type=float, default=1.0, help="most likely tokens up to this probability")
    add("--top-k", type=int, default=0, help="the K most likely tokens; 0 uses all")
    add("--min-p", type=float, default=0.0, help="minimum share of the top probability")
    add("--seed", type=int, default=0, help="seed of the sampling")
    add("--trust-remote-code", action="store_true", help="run code that comes with the model")
    return parser


AHEAD = Precheck(parser=parser, prepare=prepare, room=room)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is below 1")
    return value


def main(argv: Sequence[str] | None = None) -> None:
    """Score what the command line names."""
    arguments = parser().parse_args(argv)
    try:
        prompts = survey(arguments.prompts)
        if prompts.problems:
            for problem in prompts.problems:
                printer.say(picture(problem, {}))
            raise SystemExit(Exit.INVALID)
        with _stoppable():
            report = score(prompts, arguments)
    except (OSError, ToolError) as error:
        printer.say(f"error: {error}")
        raise SystemExit(Exit.STAGE_FAILED) from error
    except KeyboardInterrupt as stop:
        raise SystemExit(Exit.INTERRUPTED) from stop
    printer.show("\n".join(_summary(report, arguments.out)))


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C, so that what was answered is kept."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _summary(report: Mapping[str, Any], out: Path) -> Iterator[str]:
    yield (
        f"score {report['score']:.4g} of {plural(report['rows'], 'prompt')}; "
        f"{report['passed']:.4g} of the answers follow every rule"
    )
    width = max(map(len, report["categories"]), default=0)
    for name, one in report["categories"].items():
        yield f"  {name:{width}}  {one['score']:.4g} of {one['rows']}, weight {one['weight']:g}"
    if report["cut"]:
        yield f"{report['cut']} of the answers were truncated at max_tokens"
    yield f"{out.name}/{SAMPLES}: every answer, with the verdict of each rule"


if __name__ == "__main__":
    main()
