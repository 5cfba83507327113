"""For every rule a recipe that breaks it, and its near neighbour that breaks none."""

import json

from msgspec import Struct
from msgspec.structs import replace as change

from runner import workflow
from runner.catalog import load as schemas
from runner.lint.facts import Adapter, DataSet, DiskFacts, Finding, ModelFacts, Moving
from runner.lint.rule import examine, views
from runner.recipe.load import Overrides, load

KEYS = ["self_attn.q_proj", "mlp.up_proj"]
NOTHING = DiskFacts()
UNSEEN = Finding(
    parameter="model",
    message="no row of 'rows' was tried",
    hint="if intended, allow this rule",
)
REFUSED = Finding(
    parameter="model",
    message="the template refuses it",
    hint="remove system_prompt and start the prompt with it",
)


class Case(Struct, frozen=True):
    """Stages that a rule finds, stages no rule finds, and what is on disk for each."""

    bad: dict
    near: dict
    known: DiskFacts = NOTHING
    near_known: DiskFacts | None = None


def text(stages, allow=()):
    """Return the recipe with these stages, as YAML (JSON is)."""
    said = {name: {**stage, "allow": list(allow)} for name, stage in stages.items()}
    return json.dumps({"version": 1, "stages": said}, indent=1)


def compiled(recipe):
    loaded = load("r.yaml", lambda _: recipe.encode(), Overrides())
    assert loaded.problems == []
    result = workflow.compile_recipe(loaded.recipe, {})
    assert [problem.message for problem in result.problems] == []
    return result


def found(recipe, known=NOTHING):
    """Return the slugs of what the rules find in a recipe."""
    return [
        one.slug
        for view in views(compiled(recipe), schemas.catalog(), known)
        for one, _ in examine(view)
    ]


def stage(tool, **params):
    return {"tool": tool, "params": params}


def lora(**params):
    """Return a training that no rule has anything to say about, changed by `params`."""
    shape = params.pop("lora_parameters", {})
    shape = shape if shape == "absent" else {"keys": KEYS, **shape}
    base = {"model": "base", "data": "rows", "train": True, "iters": 1000, "lora_parameters": shape}
    merged = {**base, **params}
    return stage("mlx_lm.lora", **{k: v for k, v in merged.items() if v != "absent"})


def full(**params):
    base = {"model": "base", "data": "rows", "train": True, "iters": 1000}
    said = {**base, "fine_tune_type": "full", **params}
    return {"train": stage("mlx_lm.lora", **said)}


def one(**params):
    return {"train": lora(**params)}


def preferences(**params):
    return stage("mlx_lm_lora.train", model="base", data="rows", train=True, iters=100, **params)


def resumed(mode):
    file = "{{ stages.a.adapter_file }}"
    return preferences(train_mode=mode, seed=1, resume_adapter_file=file)


def fused_of(name):
    return stage("mlx_lm.fuse", model="base", adapter_path=f"{{{{ stages.{name}.adapter_path }}}}")


def two(first=None, **second):
    """Return a training and one that resumes it."""
    again = {"resume_adapter_file": "{{ stages.a.adapter_file }}", "seed": 1, **second}
    return {"a": lora(**(first or {})), "b": lora(**again)}


def after_training(**params):
    read = {
        "model": "base",
        "data": "rows",
        "test": True,
        "adapter_path": "{{ stages.a.adapter_path }}",
    }
    return {"a": lora(), "t": stage("mlx_lm.lora", **{**read, **params})}


def fused(**params):
    read = {"model": "base", "adapter_path": "{{ stages.a.adapter_path }}"}
    return {"a": lora(), "f": stage("mlx_lm.fuse", **{**read, **params})}


def fused_old():
    return {"f": stage("mlx_lm.fuse", model="base", adapter_path="old")}


def dynamic(**params):
    return stage("mlx_lm.dynamic_quant", **{"model": "o/base", **params})


def convert(**params):
    return stage("mlx_lm.convert", **{"hf_path": "base", **params})


def cosine(steps, end=0.0, warmup=0, peak=1e-5):
    return {"name": "cosine_decay", "arguments": [peak, steps, end], "warmup": warmup}


def model(**facts):
    return DiskFacts(models={"base": change(ModelFacts(path="base"), **facts)})


def block(shapes):
    return {f"model.layers.{n}.{name}": shape for n in range(2) for name, shape in shapes.items()}


def rows(train=8, valid=8, test=8, keys=("messages",), others=(), **own):
    """Return a data folder; `own` are the keys of a split that has others, as ``valid_keys``."""
    counts = {"train": train, "valid": valid, "test": test}
    there = {name: count for name, count in counts.items() if count is not None}
    first = {name: frozenset(own.get(f"{name}_keys", keys)) for name in there if there[name]}
    sizes = {name: 100 * count for name, count in there.items()}
    return DiskFacts(
        data={"rows": DataSet(path="rows", rows=there, keys=first, others=others, sizes=sizes)}
    )


def adapter(**changed):
    shape = Adapter(
        fine_tune_type="lora",
        rank=8,
        scale=20.0,
        keys=tuple(KEYS),
        num_layers=16,
        base="base",
        source="'old'",
        seed=0,
        data="rows",
    )
    return DiskFacts(adapters={"old": change(shape, **changed)})


MEASURED = "o_base_sensitivities.json"
OLD = {"resume_adapter_file": "old/adapters.safetensors", "seed": 1}
DWQ = {"model": "base", "data_path": "rows"}
TARGETS = {"a": stage("mlx_lm.dwq", **DWQ, targets_only=True, target_dir="targets")}
CACHE = stage("mlx_lm.cache_prompt", model="base", prompt="hello")
PLAIN = block({"self_attn.q_proj": (64, 64), "mlp.up_proj": (128, 64), "input_layernorm": (64,)})
EXPERTS = block({"self_attn.q_proj": (64, 64), "mlp.switch_mlp.up_proj": (4, 128, 64)})


def generate(**params):
    said = {"model": "base", "prompt_cache_file": "{{ stages.c.cache }}", **params}
    return {"c": CACHE, "g": stage("mlx_lm.generate", **said)}


def perplexity(**params):
    return {"p": stage("mlx_lm.perplexity", **{"model": "base", "data_path": "rows", **params})}


def gated(expect, **params):
    return {"train": {**lora(**params), "expect": [expect]}}


def launched(hosts, **params):
    """Return a training on several ranks."""
    return {"a": {**lora(**{"batch_size": 2, **params}), "launch": {"hosts": hosts}}}


def trained(params=None, **own):
    """Return a training with keys of its stage."""
    return {"a": {**lora(**(params or {})), **own}}


def watching(**retention):
    return {"watch": {"retention": {"data": "rows", **retention}}}


CASES = {
    # schedule
    "schedule-hides-learning-rate": Case(
        one(learning_rate=0.9, lr_schedule=cosine(1000)),
        one(learning_rate=1e-5, lr_schedule=cosine(1000)),
    ),
    "warmup-longer-than-training": Case(
        one(iters=100, lr_schedule=cosine(100, warmup=100)),
        one(iters=100, lr_schedule=cosine(1, warmup=99)),
    ),
    "schedule-shorter-than-training": Case(
        one(lr_schedule=cosine(800, warmup=100)),
        one(lr_schedule=cosine(900, warmup=100)),
    ),
    "schedule-stays-at-its-end": Case(
        one(lr_schedule=cosine(800, end=1e-6)),
        one(lr_schedule=cosine(1000, end=1e-6)),
    ),
    "schedule-longer-than-training": Case(
        one(lr_schedule=cosine(1000, warmup=100)),
        one(lr_schedule=cosine(900, warmup=100)),
    ),
    "schedule-under-accumulation": Case(
        one(grad_accumulation_steps=4, lr_schedule=cosine(1000)),
        one(grad_accumulation_steps=4, lr_schedule=cosine(225, warmup=25)),
    ),
    "iters-not-multiple-of-accumulation": Case(
        one(iters=10, grad_accumulation_steps=4), one(iters=12, grad_accumulation_steps=4)
    ),
    "adafactor-ignores-learning-rate": Case(
        one(optimizer="adafactor", learning_rate=1e-4),
        one(
            optimizer="adafactor",
            learning_rate=1e-4,
            optimizer_config={"adafactor": {"relative_step": False}},
        ),
    ),
    "full-rate-underflows": Case(full(), full(), model(dtype="bfloat16"), model(dtype="float32")),
    # adapter
    "num-layers-ambiguous": Case(one(num_layers=0), one(num_layers=-1)),
    "num-layers-more-than-the-model-has": Case(
        one(), one(num_layers=8), model(layers=8), model(layers=8)
    ),
    "keys-match-nothing": Case(
        one(lora_parameters={"keys": ["q_proj"]}),
        one(lora_parameters={"keys": ["self_attn.q_proj", "mixer.in_proj", "in_proj"]}),
    ),
    "keys-from-the-root": Case(
        one(lora_parameters={"keys": ["model.layers.0.self_attn.q_proj"]}), one()
    ),
    "keys-outside-the-blocks": Case(one(lora_parameters={"keys": [*KEYS, "lm_head"]}), one()),
    "iters-not-said": Case(one(iters="absent"), one(iters=1000)),
    "keys-not-said": Case(one(lora_parameters="absent"), one(lora_parameters={"keys": None})),
    "full-ignores-lora-parameters": Case(
        full(learning_rate=1e-4, lora_parameters={"rank": 4}), full(learning_rate=1e-4)
    ),
    "full-on-quantized": Case(
        {
            "base": convert(quantize=True),
            "train": stage(
                "mlx_lm.lora",
                model="{{ stages.base.model }}",
                data="rows",
                train=True,
                iters=1000,
                fine_tune_type="full",
                learning_rate=1e-4,
            ),
        },
        {
            "base": convert(dtype="bfloat16"),
            "train": stage(
                "mlx_lm.lora",
                model="{{ stages.base.model }}",
                data="rows",
                train=True,
                iters=1000,
                fine_tune_type="full",
                learning_rate=1e-4,
            ),
        },
    ),
    "dora-on-odd-bits": Case(
        one(fine_tune_type="dora"),
        one(fine_tune_type="dora"),
        model(quantized_bits=6),
        model(quantized_bits=4),
    ),
    "dora-on-experts": Case(
        one(fine_tune_type="dora", lora_parameters={"keys": None}),
        one(fine_tune_type="dora", lora_parameters={"keys": ["self_attn.q_proj"]}),
        model(weights=EXPERTS),
        model(weights=EXPERTS),
    ),
    # resume
    "resume-type": Case(
        two(fine_tune_type="dora"), two({"fine_tune_type": "dora"}, fine_tune_type="dora")
    ),
    "resume-rank-mismatch": Case(
        two(lora_parameters={"rank": 16}),
        two({"lora_parameters": {"rank": 16}}, lora_parameters={"rank": 16}),
    ),
    "resume-scale": Case(two(lora_parameters={"scale": 2}), two(lora_parameters={"scale": 20})),
    "model-not-loadable": Case(
        one(), one(), model(unloadable="it has no tokenizer", way_out="download it again"), model()
    ),
    "resume-scale-unknown": Case(
        one(**OLD), one(**OLD), adapter(scale=None, unscaled="it has no scale"), adapter()
    ),
    "resume-keys": Case(
        two(lora_parameters={"keys": KEYS[:1]}), two(lora_parameters={"keys": KEYS[::-1]})
    ),
    "resume-num-layers": Case(
        two(num_layers=8),
        two({"num_layers": -1}, num_layers=4),
        near_known=model(layers=4),
    ),
    "resume-not-an-adapter": Case(
        {
            "a": lora(),
            "f": convert(),
            "b": lora(resume_adapter_file="{{ stages.f.model }}/model.safetensors"),
        },
        two(),
    ),
    "same-seed-after-resume": Case(two(seed=0), two(seed=0, data="others")),
    "adapter-config-disagrees": Case(
        one(**OLD), one(**OLD), adapter(disagrees="rank 8 here and 16 there"), adapter()
    ),
    "adapter-config-newer": Case(
        fused_old(), fused_old(), adapter(newer=3600 * 5), adapter(newer=20)
    ),
    # sequence
    "other-base": Case(two(model="other"), two(model="./base")),
    "other-precision": Case(
        {
            "q": convert(quantize=True),
            "a": lora(model="{{ stages.q.model }}"),
            "f": stage("mlx_lm.fuse", model="base", adapter_path="{{ stages.a.adapter_path }}"),
        },
        {
            "q": convert(quantize=True),
            "a": lora(model="{{ stages.q.model }}"),
            "f": stage(
                "mlx_lm.fuse",
                model="{{ stages.q.model }}",
                adapter_path="{{ stages.a.adapter_path }}",
                dequantize=True,
            ),
        },
    ),
    "adapter-path-is-no-adapter": Case(
        after_training(adapter_path="{{ stages.a.adapter_path }}/0000100_adapters.safetensors"),
        after_training(),
    ),
    "test-ignores-resume-file": Case(
        after_training(resume_adapter_file="{{ stages.a.adapter_file }}"), after_training()
    ),
    "fuse-without-dequantize": Case(
        fused(), fused(dequantize=True), model(quantized_bits=4), model(quantized_bits=4)
    ),
    "gguf-of-other-model": Case(
        fused(export_gguf=True),
        fused(export_gguf=True),
        model(model_type="qwen3"),
        model(model_type="llama"),
    ),
    "best-loss-is-not-the-last": Case(
        gated("metrics.best_val_loss < 2", val_batches=-1),
        gated("metrics.val_loss < 2", val_batches=-1),
    ),
    "prompt-cache-of-other-model": Case(generate(model="other"), generate()),
    # paths
    "batch-size-not-divided-by-ranks": Case(launched(3, batch_size=4), launched(2, batch_size=4)),
    "command-too-long": Case(
        {"a": stage("mlx_lm.generate", model="base", prompt="\u00e9" * (1 << 16))},
        {"a": stage("mlx_lm.generate", model="base", prompt="e" * (1 << 16))},
    ),
    "ring-of-one": Case(launched(1), launched(2)),
    "ring-of-names": Case(launched(["one", "two"]), launched(["10.0.0.1", "10.0.0.2"])),
    "launch-of-one-process-tool": Case(
        {"a": {**stage("data.mix", primary="a", replay="b"), "launch": {"hosts": 2}}},
        {"a": stage("data.mix", primary="a", replay="b")},
    ),
    # trainer
    "keep-without-training": Case(
        {"a": {**stage("data.mix", primary="a", replay="b"), "keep": "best"}},
        {"a": {**stage("data.mix", primary="a", replay="b"), "keep": "last"}},
    ),
    "trainer-under-launch": Case(
        {"a": {**launched(2)["a"], **watching()}}, {"a": {**launched(2)["a"], "keep": "last"}}
    ),
    "best-of-one-checkpoint": Case(
        trained({"save_every": 100, "iters": 60, "steps_per_eval": 200}, keep="best"),
        trained({"save_every": 500, "iters": 1000, "steps_per_eval": 300}, keep="best"),
    ),
    "keep-without-validation-rows": Case(
        trained({"save_every": 200}, keep="best"),
        trained({"save_every": 200}, keep="best"),
        rows(valid=None),
        rows(),
    ),
    "watched-split-missing": Case(
        trained({"data": "mine"}, **watching(split="test")),
        trained({"data": "mine"}, **watching(split="valid")),
        rows(test=3),
        rows(test=3),
    ),
    "watched-too-rarely": Case(trained(**watching(every=1000)), trained(**watching(every=999))),
    "continue-inside-an-update": Case(
        trained({"grad_accumulation_steps": 8, "save_every": 100}, **{"continue": True}),
        trained({"grad_accumulation_steps": 8, "save_every": 104}, **{"continue": True}),
    ),
    "continue-without-checkpoint": Case(
        trained({"save_every": 1000}, **{"continue": True}),
        trained({"save_every": 999}, **{"continue": True}),
    ),
    "two-dashes": Case(
        one(project_name="--", report_to="wandb"), one(project_name="-", report_to="wandb")
    ),
    "newer-than-installed": Case(
        one(trust_remote_code=True),
        one(),
        DiskFacts(packages={"mlx-lm": "0.31.3"}),
        DiskFacts(packages={"mlx-lm": "0.31.3"}),
    ),
    "upload-needs-older-hub": Case(
        {"a": stage("mlx_lm.convert", hf_path="base", upload_repo="me/mine")},
        {"a": stage("mlx_lm.convert", hf_path="base", upload_repo="me/mine")},
        DiskFacts(packages={"huggingface-hub": "2.4.0"}),
        DiskFacts(packages={"huggingface-hub": "1.33.0"}),
    ),
    "data-is-a-file": Case(one(data="rows/train.jsonl"), one(data="rows")),
    "moving-target": Case(
        one(model="owner/model"),
        one(model="owner/model"),
        DiskFacts(
            moving=(Moving(stage="train", parameter="model", name="owner/model", lockable=True),)
        ),
        DiskFacts(),
    ),
    "name-not-there": Case(
        one(data="nowhere"),
        one(data="owner/rows"),
        DiskFacts(absent=frozenset({"nowhere"})),
        DiskFacts(absent=frozenset({"owner/rows"})),
    ),
    "path-not-expanded": Case(one(data="~/rows"), one(data="rows~")),
    "adapter-path-empty": Case(one(adapter_path=""), one()),
    "path-not-there": Case(
        one(data="./rows"),
        one(data="owner/rows"),
        DiskFacts(absent=frozenset({"./rows"})),
        DiskFacts(absent=frozenset({"owner/rows"})),
    ),
    "adapter-path-in-use": Case(
        one(adapter_path="out"),
        one(adapter_path="out"),
        DiskFacts(existing=frozenset({"out"})),
        NOTHING,
    ),
    "output-unreachable": Case(
        one(adapter_path="no/../out"),
        one(adapter_path="no/../out"),
        DiskFacts(unreachable={"no/../out": "'no', which it goes up from, is not there"}),
        NOTHING,
    ),
    "model-folder-in-use": Case(
        fused(save_path="out"), fused(), DiskFacts(existing=frozenset({"out"}))
    ),
    "timeout-of-seconds": Case(
        {"train": {**lora(), "timeout": 5}}, {"train": {**lora(), "timeout": "5m"}}
    ),
    "adapter-type-not-recorded": Case(
        {"a": preferences(train_type="dora"), "f": fused_of("a")},
        {"a": preferences(), "f": fused_of("a")},
    ),
    "reference-without-adapter": Case(
        {"a": preferences(), "b": resumed("dpo")},
        {"a": preferences(), "b": resumed("orpo")},
    ),
    "parameter-not-read": Case(
        {"train": preferences(train_mode="orpo", klpo_top_k=3)},
        {"train": preferences(train_mode="klpo", klpo_kl_estimator="topk", klpo_top_k=3)},
    ),
    # number
    "unusual-number": Case(one(learning_rate=0.5), one(learning_rate=0.05)),
    # data
    "split-missing": Case(one(), one(), rows(train=None), rows(test=None)),
    "batch-larger-than-data": Case(one(test=True), one(), rows(test=3), rows(test=3)),
    "rows-never-trained": Case(one(), one(batch_size=11), rows(train=11), rows(train=11, valid=11)),
    "replay-share-not-exact": Case(
        {"a": stage("data.mix", primary="new", replay="old")},
        {"a": stage("data.mix", primary="new", replay="old", tolerance=0.0072)},
        DiskFacts(data={name: DataSet(path=name, rows={"train": 12}) for name in ("new", "old")}),
    ),
    "no-validation-rows": Case(one(), one(), rows(valid=None, others=("val.jsonl",)), rows()),
    "not-looked-at": Case(one(), one(), DiskFacts(gaps={"train": (UNSEEN,)}), NOTHING),
    "prompt-refused-by-template": Case(
        one(), one(), DiskFacts(template_refusals={"train": (REFUSED,)}), NOTHING
    ),
    "tool-would-stop": Case(one(), one(), DiskFacts(tool_refusals={"train": (REFUSED,)}), NOTHING),
    "mask-prompt-without-prompt": Case(
        one(mask_prompt=True), one(mask_prompt=True), rows(keys=("text",)), rows()
    ),
    "mixed-formats": Case(one(), one(), rows(valid_keys=("text",)), rows()),
    "format-unknown": Case(
        one(), one(text_feature="content"), rows(keys=("content",)), rows(keys=("content",))
    ),
    "no-chat-template": Case(
        one(),
        one(),
        DiskFacts(data=rows().data, models=model(chat_template=False).models),
        DiskFacts(data=rows(keys=("text",)).data, models=model(chat_template=False).models),
    ),
    "validates-on-random-rows": Case(
        gated("metrics.val_loss < 2"),
        gated("metrics.val_loss < 2"),
        rows(valid=200),
        rows(valid=100),
    ),
    "hf-dataset-without-test-split": Case(
        one(data="absent", test=True, hf_dataset={"path": "o/d"}),
        one(data="absent", test=True, hf_dataset={"path": "o/d", "test_split": "test"}),
    ),
    "hf-dataset-ignores-features": Case(
        one(data="absent", text_feature="t", hf_dataset={"path": "o/d"}),
        one(data="absent", hf_dataset={"path": "o/d", "text_feature": "t"}),
    ),
    "project-name-not-read": Case(one(project_name="p"), one(project_name="p", report_to="wandb")),
    # model
    "quantizes-twice": Case(
        {"q": convert(quantize=True)},
        {"q": convert(quantize=True)},
        model(quantized_bits=4),
        model(),
    ),
    "group-size-does-not-divide": Case(
        {"q": convert(quantize=True, q_group_size=128)},
        {"q": convert(quantize=True)},
        model(weights=PLAIN),
        model(weights=PLAIN),
    ),
    "bits-out-of-reach": Case(
        {"q": stage("mlx_lm.dynamic_quant", model="base", target_bpw=99)},
        {"q": stage("mlx_lm.dynamic_quant", model="base")},
    ),
    "sensitivities-of-other-bits": Case(
        {"a": dynamic(), "b": dynamic(sensitivities=MEASURED, high_bits=6)},
        {"a": dynamic(), "b": dynamic(sensitivities=MEASURED, target_bpw=4.8)},
    ),
    "sensitivities-from-elsewhere": Case(
        {"b": dynamic(sensitivities=MEASURED)},
        {"a": dynamic(), "b": dynamic(sensitivities=f"./{MEASURED}", target_bpw=4.8)},
        near_known=DiskFacts(absent=frozenset({f"./{MEASURED}"})),
    ),
    "awq-of-other-model": Case(
        {"q": stage("mlx_lm.awq", model="base")},
        {"q": stage("mlx_lm.awq", model="base")},
        model(model_type="olmo2"),
        model(model_type="qwen3"),
    ),
    "targets-of-another-run": Case(
        {**TARGETS, "b": stage("mlx_lm.dwq", **DWQ, target_dir="{{ stages.a.targets }}", seed=7)},
        {**TARGETS, "b": stage("mlx_lm.dwq", **DWQ, target_dir="{{ stages.a.targets }}")},
    ),
    "targets-already-there": Case(
        {"b": stage("mlx_lm.dwq", **DWQ, target_dir="targets")},
        {"b": stage("mlx_lm.dwq", **DWQ, target_dir="targets")},
        DiskFacts(existing=frozenset({"targets"})),
        DiskFacts(absent=frozenset({"targets"})),
    ),
    "too-few-samples": Case(
        {"b": stage("mlx_lm.dwq", **DWQ)},
        {"b": stage("mlx_lm.dwq", **DWQ, num_samples=4)},
        rows(),
        rows(),
    ),
    "result-name-too-long": Case(
        {
            "e": stage(
                "mlx_lm.evaluate",
                model="base",
                tasks=[f"mmlu_a_long_subject_{n}" for n in range(12)],
            )
        },
        {"e": stage("mlx_lm.evaluate", model="base", tasks=["arc_easy"])},
    ),
    "perplexity-of-training-rows": Case(
        {"a": lora(), "p": stage("mlx_lm.perplexity", model="base", data_path="./rows")},
        {"a": lora(), "p": stage("mlx_lm.perplexity", model="base", data_path="held_out")},
    ),
    "too-few-tokens": Case(perplexity(), perplexity(num_samples=4), rows(), rows()),
    "prompt-parts-ignored": Case(
        {"g": stage("mlx_lm.generate", model="base", system_prompt="be brief")},
        {"g": stage("mlx_lm.generate", model="base", system_prompt="be brief")},
        model(chat_template=False),
        model(chat_template=True),
    ),
}

SHARE_GPT = {"conversations": [{"from": "", "value": ""}]}
# Further recipes that break a rule, each told another way out than the rule's own case.
FURTHER = {
    "rows that take no revision": (
        "moving-target",
        Case(
            one(data="owner/rows"),
            one(),
            DiskFacts(
                moving=(Moving(stage="train", parameter="data", name="owner/rows", lockable=False),)
            ),
        ),
    ),
    "a command of a shell": ("path-not-expanded", Case(one(data="$(ls data | head -1)"), one())),
    "a command in backticks": ("path-not-expanded", Case(one(data="`ls`/d"), one())),
    "where one is": ("path-not-expanded", Case(one(data="$(pwd)/rows"), one())),
    "where one is, in backticks": ("path-not-expanded", Case(one(data="`pwd`/rows"), one())),
    "where one is, by its variable": ("path-not-expanded", Case(one(data="${PWD}/rows"), one())),
    "keys of a whole module": (
        "keys-match-nothing",
        Case(one(lora_parameters={"keys": ["all-linear"]}), one()),
    ),
    "less than one group": (
        "iters-not-multiple-of-accumulation",
        Case(one(iters=3, grad_accumulation_steps=4), one()),
    ),
    "an adapter of a stage that makes none": (
        "adapter-path-is-no-adapter",
        Case(
            {
                **fused(),
                "t": stage(
                    "mlx_lm.lora",
                    model="base",
                    data="rows",
                    test=True,
                    adapter_path="{{ stages.f.model }}",
                ),
            },
            one(),
        ),
    ),
    "a sequence longer than all rows": (
        "too-few-tokens",
        Case(perplexity(num_samples=4), perplexity(), rows(train=1), NOTHING),
    ),
    "a share of less than a row": (
        "replay-share-not-exact",
        Case(
            {"a": stage("data.mix", primary="new", replay="old", ratio=0.01)},
            one(),
            DiskFacts(
                data={name: DataSet(path=name, rows={"train": 12}) for name in ("new", "old")}
            ),
        ),
    ),
    "a share of more than there is": (
        "replay-share-not-exact",
        Case(
            {"a": stage("data.mix", primary="new", replay="old", ratio=0.6)},
            one(),
            DiskFacts(
                data={
                    "new": DataSet(path="new", rows={"train": 12}),
                    "old": DataSet(path="old", rows={"train": 3}),
                }
            ),
        ),
    ),
    "the home of another": ("path-not-expanded", Case(one(adapter_path="~bob/x"), one())),
}
