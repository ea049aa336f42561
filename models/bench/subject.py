"""What is measured: an engine, an untouched model of the same weights beside it, and questions for them.

Either the model of a config, or random weights of a named shape. Knows the engine and transformers; knows no clock.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as bpe

from models.answering import prompts
from models.bench import shapes
from models.bench.results import Measured
from models.errors import ModelError, OutOfMemoryError
from models.loading import embedded, opening, sources
from models.memory import free_bytes, memory_errors
from models.network import adapters
from models.running import engine
from models.types import Job, LensName, ModelConfig, PromptConfig, Sampling

_HF: Any = transformers  # typed in parts only

Say = Callable[[str], None]

FOOT = "How many eyes does my foot have?"
"""On the default model a chat prompt of 38 tokens."""

PROMPT_TOKENS = 38
"""Of each question to a random model."""

_THINGS = ("eyes", "wheels", "doors", "ears", "strings", "windows", "legs", "wings")
_OWNERS = ("foot", "bicycle", "piano", "hat", "river", "teapot", "shadow", "left shoe")
_PLAIN = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}"
_BARE = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


@dataclass(slots=True)
class Subject:
    """One engine to be measured."""

    engine: engine.TorchEngine
    measured: Measured
    device: torch.device
    dtype: torch.dtype
    random: bool
    block_parameters: int
    """Of all blocks together; a mixture of experts counts all of them."""
    head_parameters: int
    make_reference: Callable[[], Any]
    lens: LensName = "logit"
    """What the engine's second passes are read through; the plain reference reads the logit lens."""
    _reference: Any = None

    @property
    def reference(self) -> Any:
        """A plain transformers model of the same weights, loaded when first asked for."""
        if self._reference is None:
            with memory_errors():
                self._reference = self.make_reference()
            # Nothing shall end an answer but its length, and nothing bend it (some models come with a repetition penalty).
            self._reference.generation_config = _HF.GenerationConfig(do_sample=False, pad_token_id=0)
        return self._reference

    def forget_reference(self) -> None:
        """Free what the plain reference holds; asked for again, it is loaded again."""
        self._reference = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def questions(self, count: int) -> list[str]:
        """So many different questions of one kind; the first is always the same."""
        if self.random:
            draw = random.Random(0)  # noqa: S311  no secret
            return ["".join(draw.choices(string.ascii_letters, k=PROMPT_TOKENS)) for _ in range(count)]
        pairs = itertools.islice(itertools.cycle(itertools.product(_OWNERS, _THINGS)), count)
        return [f"How many {thing} does my {owner} have?" for owner, thing in pairs]

    def jobs(self, count: int, new_tokens: int) -> list[Job]:
        """So many greedy questions in the chat style, which ends at no line."""
        sampling = Sampling(max_new_tokens=new_tokens)
        return [Job(question, style="chat", sampling=sampling) for question in self.questions(count)]

    def prompt_ids(self, job: Job) -> tuple[int, ...]:
        """The prompt that the engine makes of a job."""
        return prompts.build(self.engine.tokenizer, job, PromptConfig(), self.engine.info.context).ids


def of_config(config: ModelConfig, say: Say, *, lens: LensName = "logit", lens_file: Path | None = None) -> Subject:
    """The model that ``config`` names, its second passes read through ``lens``.

    Raises:
        LensError: the lens has not been trained, or is another model's.
        ModelError: it cannot be loaded, is quantized, or is spread over devices: the plain reference would not be the same.
    """
    if config.quantization != "none" or config.device_map is not None or config.max_memory is not None:
        raise ModelError(
            "The benchmark compares with plain transformers, so it needs one device and no quantization.",
            hint="Set `model.quantization` to none, and leave `model.device_map` and `model.max_memory` empty.",
        )
    made = engine.load(config, kind=lens, lens_file=lens_file, on_stage=say)
    if not made.tokenizer.chat_template:
        made.tokenizer.chat_template = _PLAIN  # a base model: the question alone, and no line ends the answer
    device, dtype = opening.choose_device(config.device), made.model.dtype
    source = sources.find_source(config)

    def reference() -> Any:
        say("loading the plain reference")
        options = opening.origin(source) | opening.format_of(source)
        with embedded.no_progress_bars():
            plain = _HF.AutoModelForCausalLM.from_pretrained(source.place, dtype=dtype, **options)
        return plain.to(device).eval()

    found = _subject(made, made.model.config, device, dtype, name=made.info.name, random=False, reference=reference)
    found.lens = lens
    return found


def of_shape(name: str, *, layers: int | None, device: str, dtype: str, say: Say, twin: bool = True) -> Subject:
    """Random weights of the named shape.

    Raises:
        ModelError: no such shape or device.
        OutOfMemoryError: it does not fit, with ``twin`` its plain reference included.
    """
    place = opening.choose_device(device)
    kind = opening.choose_dtype(dtype, place)
    config = shapes.config_of(shapes.shape(name), layers=layers)
    full = name if layers is None else f"{name}, {layers} layers"
    return of_random(config, full, device=place, dtype=kind, say=say, twin=twin)


def of_random(
    config: Any, name: str, *, device: torch.device, dtype: torch.dtype, say: Say = lambda _: None, twin: bool = True
) -> Subject:
    """Random weights of any config; the same each time.

    Raises:
        OutOfMemoryError: it does not fit, with ``twin`` its plain reference included.
    """
    _check_room(config, name, device, dtype, twin)

    def reference() -> Any:
        say("drawing the plain reference")
        return shapes.random_model(config, device=device, dtype=dtype)

    say(f"drawing random weights ({name})")
    with memory_errors():
        made = engine.from_model(reference(), tokenizer(config.get_text_config().vocab_size), name=name)
        made.pack()  # as `engine.load` does
    return _subject(made, config, device, dtype, name=name, random=True, reference=reference)


def _subject(
    made: engine.TorchEngine, config: Any, device: torch.device, dtype: torch.dtype, *, name: str, random: bool, reference: Any
) -> Subject:
    text = config.get_text_config()
    counted = shapes.parameters(config)
    parts = adapters.find(counted)
    blocks = sum(p.numel() for block in parts.blocks for p in block.parameters())
    head = sum(p.numel() for p in parts.head.parameters())
    norm = sum(p.numel() for p in parts.norm.parameters())
    measured = Measured(
        name=name,
        random=random,
        architecture=type(counted).__name__,
        layers=len(parts.blocks),
        hidden=int(text.hidden_size),
        vocabulary=int(text.vocab_size),
        parameters=int(counted.num_parameters()),
        weight_bytes=(blocks + head + norm) * dtype.itemsize,
    )
    return Subject(made, measured, device, dtype, random, blocks, head, reference)


def _check_room(config: Any, name: str, device: torch.device, dtype: torch.dtype, twin: bool) -> None:
    """The engine's weights, those of its twin, and a tenth for everything else."""
    needed = int((2.1 if twin else 1.1) * shapes.parameters(config).num_parameters() * dtype.itemsize)
    free = free_bytes(device)
    if needed > free:
        who = " and its plain reference need" if twin else " needs"
        raise OutOfMemoryError(
            f"`{name}` in {str(dtype).removeprefix('torch.')}{who} {needed / 2**30:.1f} GiB,"
            f" and {device} has {free / 2**30:.1f} GiB free.",
            hint="Make it smaller with --layers, or choose --dtype bfloat16 or a smaller --shape.",
        )


@contextlib.contextmanager
def endless(made: engine.TorchEngine) -> Iterator[None]:
    """Let no token end an answer, so that each has exactly as many as were asked for."""
    stops, made._stop_ids = made._stop_ids, frozenset()
    try:
        yield
    finally:
        made._stop_ids = stops


def tokenizer(vocabulary: int) -> Any:
    """For random models: a letter is a token, and every other id has a name of its own that no text gives."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(f"Ġ<{i}>" for i in range(len(letters), vocabulary - 1))][: vocabulary - 1]
    core = Tokenizer(bpe.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<end>"])
    made = _HF.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<end>")  # noqa: S106  no password
    made.chat_template = _BARE
    return made
