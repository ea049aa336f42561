"""The real engine: any causal language model that transformers can load, answering and reading its own forward pass.

Knows models, prompts and the lens; knows neither Discord nor asyncio (`models.running.scheduler` keeps it off the event loop).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from models.answering import lean, prompts, templates
from models.answering.course import Course
from models.answering.decoding import Decoder
from models.answering.prompts import Prompt
from models.dump import Chosen, LayerDump, What, lens_dump
from models.errors import UnsupportedArchitectureError
from models.lenses.shelf import Shelf
from models.loading.opening import Loaded, open_model
from models.loading.sources import Source
from models.network import adapters, packing
from models.reading import dumping, lens
from models.reading.held import HeldStates
from models.roads import check_road
from models.running.reads import Reads
from models.sentences import Sentence
from models.tokens import special_ids, stop_ids
from models.types import Answer, Job, LensName, ModelConfig, ModelInfo, PromptConfig, Sampling, Style

_SEED_BITS = 53  # exact in JSON

log = logging.getLogger(__name__)


def load(
    config: ModelConfig,
    *,
    prompt: PromptConfig | None = None,
    kind: LensName = "logit",
    lens_file: Path | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> TorchEngine:
    """Load the model that ``config`` names. Blocks for a second or two, or for as long as a download takes.

    Args:
        config: which model, and where to put it.
        prompt: default style and system prompt.
        kind: the lens; a learned one is read from its file. Nothing is told through the Jacobian lens: `Engine.trace` without a
            name reads the logit lens then.
        lens_file: where it lies; `models.lenses.store.default_file` when None.
        on_stage: gets a few words before each step.

    Raises:
        LensNotFoundError, LensFileError, LensOfAnotherModelError: the learned lens cannot be used with this model.
        ModelNotPulledError: the default model has not been pulled.
        ModelNotFoundError: there is no such id, folder or file, or no network to fetch it.
        ModelError: it is not a causal language model, is gated, or asks for what is not installed.
        OutOfMemoryError: it does not fit the device.
    """
    started = time.perf_counter()
    loaded = open_model(config, on_stage or (lambda _stage: None))
    lenses = Shelf(loaded.model, config, revision=loaded.revision, kind=kind, file=lens_file)
    lenses.get(kind)  # what is wrong with it is said now
    engine = TorchEngine(loaded, config, prompt or PromptConfig(), load_seconds=0.0, lenses=lenses)
    engine.pack()
    engine.loaded_in(time.perf_counter() - started)
    return engine


def from_model(
    model: Any, tokenizer: Any, *, name: str = "model", prompt: PromptConfig | None = None, learned: lens.Lens | None = None
) -> TorchEngine:
    """An engine around a model and tokenizer that the caller already holds, in a notebook or a test."""
    loaded = Loaded(model, tokenizer, Source(name, name), None)
    config = ModelConfig(id=name)
    lenses = Shelf(model, config, own=learned)
    return TorchEngine(loaded, config, prompt or PromptConfig(), load_seconds=0.0, lenses=lenses)


class TorchEngine(Reads):
    """A `BatchEngine` of `models.types`, and with `Reads` a `Prober` that can pause. One thread at a time."""

    def __init__(
        self,
        loaded: Loaded,
        config: ModelConfig,
        prompt: PromptConfig,
        *,
        load_seconds: float,
        lenses: Shelf | None = None,
    ) -> None:
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self._prompt = prompt
        self._special = special_ids(self.tokenizer)
        template = templates.of(self.tokenizer)
        self._stop_ids = stop_ids(self.model, self.tokenizer, self._special, template.ends if template else ())
        self._rows = int(self.model.get_input_embeddings().weight.shape[0])
        self._info = _describe(loaded, config, prompt, load_seconds)
        self._memory_limit = config.memory_limit
        self._capacity = config.max_batch
        self._parts = adapters.find(self.model) if self._info.inner_voice is None else None
        self._lean: lean.LeanStep | None = None
        self._decoder = Decoder(self.model, self._parts)
        self._held = HeldStates()
        self._lenses = lenses or Shelf(self.model, config, revision=loaded.revision)

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def capacity(self) -> int:
        return self._capacity

    def pack(self) -> None:
        """Lay the weights out for speed, where they lie on a CPU. Afterwards the model has no dense parameters to look at."""
        if packing.pack(self.model):
            self._parts = adapters.find(self.model) if self._parts is not None else None
            self._lean = lean.build(self.model, self._parts)
            self._decoder = Decoder(self.model, self._parts, lean=self._lean)

    def loaded_in(self, seconds: float) -> None:
        """How long loading took in all."""
        self._info = replace(self._info, load_seconds=seconds)

    def answer(
        self,
        job: Job,
        *,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        course, decoder = self._course(job, on_text, cancelled), Decoder(self.model, self._parts, lean=self._lean)
        decoder.add(course)
        while not course.done:
            decoder.step()
        result = self._result(course)
        if isinstance(result, BaseException):
            raise result
        return result

    def begin(
        self, job: Job, *, on_text: Callable[[str], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Course:
        course = self._course(job, on_text, cancelled)
        self._decoder.add(course)
        return course

    def step(self) -> list[tuple[Course, Answer | BaseException]]:
        return [(course, self._result(course)) for course in self._decoder.step()]

    def dump(
        self,
        answer: Answer,
        what: What,
        *,
        positions: Chosen = None,
        depths: Chosen = None,
        lens: LensName | None = None,
        k: int = 10,
    ) -> LayerDump:
        if self._parts is None:
            raise UnsupportedArchitectureError(self._info.inner_voice or "The lens cannot read this model.")
        if what == "lens":
            return lens_dump(self.trace(answer, k=k, lens=lens), positions=positions, depths=depths)
        meta = self._meta(answer)
        return dumping.dump(self.model, self._parts, self.tokenizer, answer, what, meta=meta, positions=positions, depths=depths)

    def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]:
        bare = self._prompt.model_copy(update={"system": None})
        return prompts.build(self.tokenizer, Job(question, style=style), bare, self._info.context, rows=self._rows).ids

    def forget(self) -> None:
        """Let go of what the answer passes left for the second passes; those compute it again."""
        self._held.clear()

    def _course(self, job: Job, on_text: Callable[[str], None] | None, cancelled: Callable[[], bool] | None) -> Course:
        road, sampling = job.road, job.sampling
        if road is not None:
            check_road(road, self._info.vocabulary)
            sampling = road.answer.sampling
        course = Course(
            self.tokenizer,
            self._prompt_of(job) if road is None else self._again(road.answer),
            sampling,
            seed=_seed(sampling) if road is None else road.answer.seed,
            stop_ids=self._stop_ids,
            special=self._special,
            on_text=on_text,
            cancelled=cancelled,
        )
        if road is not None:
            course.follow(road, self._held.get(road.answer.prompt_ids, road.answer.answer_ids))
        return course

    def _prompt_of(self, job: Job) -> Prompt:
        return prompts.build(self.tokenizer, job, self._prompt, self._info.context, rows=self._rows)

    def _again(self, answer: Answer) -> Prompt:
        """The prompt of an answer that there is already."""
        room = self._info.context - len(answer.prompt_ids)
        most = min(answer.sampling.max_new_tokens, room)
        return Prompt(answer.prompt_ids, answer.style, most, answer.dropped_turns, room)

    def _result(self, course: Course) -> Answer | BaseException:
        decoded, prompt = course.decoded, course.prompt
        if decoded is None:
            return course.error or RuntimeError("an answer ended without an end")
        if decoded.states is not None:
            self._held.put(prompt.ids, decoded.ids, decoded.states)
        return Answer(
            prompt_ids=prompt.ids,
            answer_ids=decoded.ids,
            text=decoded.text,
            style=prompt.style,
            sampling=course.sampling,
            seed=course.seed,
            finish=decoded.finish,
            sampled_prob=decoded.sampled_prob,
            final_top=decoded.final_top,
            dropped_turns=prompt.dropped_turns,
            seconds_to_first=decoded.seconds_to_first,
            seconds=decoded.seconds,
            thinking=decoded.thinking,
        )

    def _meta(self, answer: Answer) -> dict[str, Any]:
        info, sampling = self._info, answer.sampling
        return {
            "model": info.id,
            "name": info.name,
            "revision": info.revision,
            "device": info.device,
            "quantization": info.quantization,
            "style": answer.style,
            "sampler": {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k},
            "seed": answer.seed,
            "answer_seconds": answer.seconds,
        }


def _seed(sampling: Sampling) -> int:
    """The given seed, a drawn one, or for a greedy answer 0: nothing is drawn there."""
    if sampling.seed is not None:
        return sampling.seed
    return secrets.randbits(_SEED_BITS) if sampling.temperature else 0


def _describe(loaded: Loaded, config: ModelConfig, prompt: PromptConfig, load_seconds: float) -> ModelInfo:
    model, tokenizer = loaded.model, loaded.tokenizer
    text_config = model.config.get_text_config()
    return ModelInfo(
        id=config.id,
        revision=loaded.revision,
        name=loaded.source.name,
        architecture=type(model).__name__,
        layers=int(text_config.num_hidden_layers),
        vocabulary=int(text_config.vocab_size),
        context=prompts.context_of(text_config, tokenizer),
        parameters=int(model.num_parameters()),
        device=_devices(model),
        dtype=str(model.dtype).removeprefix("torch."),
        quantization=config.quantization,
        styles=prompts.styles(tokenizer),
        default_style=prompts.choose_style(tokenizer, prompt.style),
        inner_voice=adapters.reason_against(model),
        load_seconds=load_seconds,
        versions=lens.versions() | {"accelerate": version("accelerate")},
        width=int(text_config.hidden_size),
        heads=int(getattr(text_config, "num_attention_heads", 0)),
        notes=_notes(model, tokenizer),
    )


def _notes(model: Any, tokenizer: Any) -> tuple[Sentence, ...]:
    """What was found when the template was tried, and a tokenizer that knows more than the model."""
    template, rows = templates.of(tokenizer), int(model.get_input_embeddings().weight.shape[0])
    notes = template.notes if template is not None else ()
    if len(tokenizer) > rows:
        more = Sentence(
            "Its tokenizer knows {tokens} tokens and the model {rows}: a question with one of the others is refused.",
            tokens=len(tokenizer),
            rows=rows,
        )
        notes = (*notes, more)
    for note in notes:
        log.warning("%s", note)
    return notes


def _devices(model: Any) -> str:
    """The device, or all of them joined by "+" when accelerate spread the model."""
    mapped = getattr(model, "hf_device_map", None) or {"": model.device}
    names = dict.fromkeys(str(torch.device("cuda", d) if isinstance(d, int) else d) for d in mapped.values())
    return "+".join(names)
