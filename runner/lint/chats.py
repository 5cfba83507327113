"""What stages ask a model through its chat template -> what the template refuses of it."""

from __future__ import annotations

import os
from shlex import quote
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from runner.base.constants import RUN_DIR
from runner.base.problems import Mark, Problem, as_yaml
from runner.catalog import load
from runner.data.rows.template import way_out
from runner.lint import read_facts
from runner.lint.facts import Finding
from runner.lint.lineage import beneath
from runner.plan.hub_names import split
from runner.system import hub
from runner.tools.evaluate.prompts import messages_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from runner.catalog.tools import Tool
    from runner.data.tokenizer import Chat, LocalTokenizer
    from runner.plan.model import Plan, Stage
    from runner.tools.evaluate.prompts_file import Prompts

FILES = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
"""The files of a hub repository that a tokenizer and its template are made of."""


class Writer(Struct, frozen=True, kw_only=True):
    """The model whose template writes what a stage reads.

    `folder` is where its tokenizer is; if there is none, `why`, and a `hint` what to do.
    """

    model: str
    folder: str | None
    why: str = ""
    hint: str = ""

    def absent(self, what: str) -> Finding:
        """Return that no such thing was written with the template."""
        message = f"no {what} was checked with the model's chat template: {self.why}"
        return Finding(
            parameter="model",
            message=message,
            hint=self.hint or "if intended, allow this rule",
        )


def writer(plan: Plan, model: str) -> Writer:
    """Return the model beneath a stage's own, and where on this disk its tokenizer is."""
    name = beneath(plan, model, load.catalog(plan.tools))
    if RUN_DIR in name:
        return Writer(model=name, folder=None, why="the model is created during the run")
    if (maker := plan.maker(name)) is not None:
        return Writer(
            model=name, folder=None, why=f"stage '{maker.name}' creates the model '{name}'"
        )
    exact = plan.model_commits.get(name, name)
    folder = read_facts.folder_of(exact, hub.cache(os.environ))
    if folder is None:
        files = " ".join(f"--include '{pattern}'" for pattern in FILES)
        repository, revision = split(exact)
        at = f" --revision {quote(revision)}" if revision else ""
        hint = f"get its tokenizer first: hf download {quote(repository)}{at} {files}"
        return Writer(model=name, folder=None, why=f"'{name}' is not on this disk", hint=hint)
    if not any((folder / file).is_file() for file in ("tokenizer_config.json", "tokenizer.json")):
        return Writer(model=name, folder=None, why=f"'{name}' has no tokenizer on this disk")
    return Writer(model=name, folder=str(folder.resolve()))


def without_tokenizer(one: Writer, why: str) -> Writer:
    """Return a writer whose tokenizer turned out not to load, with the reason."""
    reason = " ".join(why.split())[:MOST]
    return Writer(
        model=one.model,
        folder=None,
        why=f"the tokenizer of '{one.model}' cannot be loaded ({reason})",
    )


MOST = 200


# --- a prompts file


def of_prompts(plan: Plan, stage: Stage, prompts: Prompts) -> Iterator[Problem | Finding]:
    """Yield the questions of a sound file that the stage's model cannot be asked."""
    if not prompts.chats:
        return
    one = writer(plan, stage.params["model"])
    encode = _tokenizer(one)
    if encode is None:
        yield one.absent(f"prompt of '{prompts.file}'")
        return
    from runner.data.tokenizer import TokenizerError, refusals

    try:
        for number, why in refusals(encode, _questions(stage, prompts)):
            mark = Mark(file=str(prompts.file), line=number, column=1)
            message = f"the chat template of '{one.model}' rejects the line: {why}"
            yield Problem(
                mark=mark, message=message, rule="prompt-template-error", hint=_hint(stage, why)
            )
    except TokenizerError as error:
        yield without_tokenizer(one, str(error)).absent(f"prompt of '{prompts.file}'")


def _questions(stage: Stage, prompts: Prompts) -> Iterator[Chat]:
    from runner.data.tokenizer import Chat

    options = {**stage.params["chat_template_config"], "add_generation_prompt": True}
    for line, question in prompts.questions(stage.params["limit"]):
        messages = messages_of(question, stage.params["system_prompt"])
        if messages is not None:
            yield Chat(number=line, messages=messages, options=options)


def _hint(stage: Stage, why: str) -> str:
    if stage.params["system_prompt"] is not None and "system" in why.casefold():
        return "remove system_prompt and write it into the prompts"
    return "change the line, or use a model whose template accepts it"


# --- a prompt in the recipe


def of_stage(plan: Plan, stage: Stage) -> Iterator[tuple[bool, Finding]]:
    """Yield the findings of a stage's own prompt, and whether it was checked."""
    tool = load.catalog(plan.tools).get(stage.tool)
    chat = _messages(tool, stage.params) if tool else None
    if chat is None:
        return
    messages, options = chat
    one = writer(plan, stage.params["model"])
    encode = _tokenizer(one)
    if encode is None:
        yield False, one.absent("prompt")
        return
    from runner.data.tokenizer import Chat, TokenizerError, refusals

    try:
        for _, why in refusals(
            encode, [Chat(number=0, messages=messages, options=options)], bare=True
        ):
            yield True, _refusal(stage.params, one, why, messages)
    except TokenizerError as error:
        yield False, without_tokenizer(one, str(error)).absent("prompt")


def _refusal(
    params: Mapping[str, Any], one: Writer, why: str, messages: Sequence[Mapping[str, Any]]
) -> Finding:
    system = params.get("system_prompt") is not None
    name = "system_prompt" if system else "prompt"
    hint = way_out(why, messages)
    if system and "system message" in hint:
        hint = f"remove system_prompt and start the prompt with {as_yaml(params[name])}"
    return Finding(
        parameter=name, message=f"the chat template of '{one.model}' rejects it: {why}", hint=hint
    )


def _messages(
    tool: Tool, params: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """Return the messages a tool makes of its prompt, and the template's options.

    None where it uses no template.
    """
    chat = tool.chat
    if not chat or params.get(chat.get("without", "")) or params["model"] is None:
        return None
    texts = {role: params[chat[role]] for role in _ROLES if role in chat}
    texts["user"] = tool.parameters[chat["user"]].rewrite(texts["user"])
    messages = [{"role": role, "content": text} for role, text in texts.items() if text is not None]
    begun = bool(chat.get("open")) or texts.get("assistant") is not None
    options = {"continue_final_message": begun, "add_generation_prompt": not begun}
    return messages, {**options, **(params.get(chat.get("options", "")) or {})}


_ROLES = ("system", "user", "assistant")


def _tokenizer(one: Writer) -> LocalTokenizer | None:
    """Return a writer's tokenizer; it is loaded where it is asked."""
    if one.folder is None:
        return None
    from runner.data.tokenizer import LocalTokenizer

    return LocalTokenizer(path=one.folder)
