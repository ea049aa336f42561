"""The real engine: any causal language model that transformers can load, answering and reading its own forward pass.

Knows models, prompts and the lens; knows neither Discord nor asyncio (`models.scheduler` keeps it off the event loop).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from models import adapters, lens, prompts
from models.decoding import decode
from models.errors import UnsupportedArchitectureError
from models.loading import Loaded, Source, memory_errors, open_model
from models.tokens import special_ids
from models.trace import Trace
from models.types import Answer, Job, ModelConfig, ModelInfo, PromptConfig, Sampling

_END_OF_TURN = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<|END_OF_TURN_TOKEN|>",
    "</s>",
    "<eos>",
)
"""Names under which chat models end a turn. Only those that the tokenizer marks as control tokens count."""

_SEED_BITS = 53  # exact in JSON


def load(
    config: ModelConfig, *, prompt: PromptConfig | None = None, on_stage: Callable[[str], None] | None = None
) -> TorchEngine:
    """Load the model that ``config`` names. Blocks for a second or two, or for as long as a download takes.

    Args:
        config: which model, and where to put it.
        prompt: default style and system prompt.
        on_stage: gets a few words before each step.

    Raises:
        ModelNotPulledError: the default model has not been pulled.
        ModelNotFoundError: there is no such id, folder or file, or no network to fetch it.
        ModelError: it is not a causal language model, is gated, or asks for what is not installed.
        OutOfMemoryError: it does not fit the device.
    """
    started = time.perf_counter()
    loaded = open_model(config, on_stage or (lambda _stage: None))
    return TorchEngine(loaded, config, prompt or PromptConfig(), load_seconds=time.perf_counter() - started)


def from_model(model: Any, tokenizer: Any, *, name: str = "model", prompt: PromptConfig | None = None) -> TorchEngine:
    """An engine around a model and tokenizer that the caller already holds, in a notebook or a test."""
    loaded = Loaded(model, tokenizer, Source(name, name), None)
    return TorchEngine(loaded, ModelConfig(id=name), prompt or PromptConfig(), load_seconds=0.0)


class TorchEngine:
    """An `Engine` of `models.types`. One thread at a time."""

    def __init__(self, loaded: Loaded, config: ModelConfig, prompt: PromptConfig, *, load_seconds: float) -> None:
        self.model = loaded.model
        self.tokenizer = loaded.tokenizer
        self._prompt = prompt
        self._special = special_ids(self.tokenizer)
        self._stop_ids = _stop_ids(self.model, self.tokenizer, self._special)
        self._info = _describe(loaded, config, prompt, load_seconds)

    @property
    def info(self) -> ModelInfo:
        return self._info

    def answer(
        self,
        job: Job,
        *,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        prompt = prompts.build(self.tokenizer, job, self._prompt, self._info.context)
        seed = _seed(job.sampling)
        with memory_errors():
            decoded = decode(
                self.model,
                self.tokenizer,
                prompt,
                job.sampling,
                seed=seed,
                stop_ids=self._stop_ids,
                special=self._special,
                on_text=on_text,
                cancelled=cancelled,
            )
        return Answer(
            prompt_ids=prompt.ids,
            answer_ids=decoded.ids,
            text=decoded.text,
            style=prompt.style,
            sampling=job.sampling,
            seed=seed,
            finish=decoded.finish,
            sampled_prob=decoded.sampled_prob,
            final_top=decoded.final_top,
            dropped_turns=prompt.dropped_turns,
            seconds_to_first=decoded.seconds_to_first,
            seconds=decoded.seconds,
        )

    def trace(self, answer: Answer, *, k: int = 10) -> Trace:
        if self._info.inner_voice is not None:
            raise UnsupportedArchitectureError(self._info.inner_voice)
        with memory_errors():
            return lens.trace(
                self.model,
                answer.prompt_ids,
                answer.answer_ids,
                k=k,
                tokenizer=self.tokenizer,
                sampled_prob=answer.sampled_prob,
                final_top=answer.final_top,
                meta=self._meta(answer),
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
        context=_context(text_config, tokenizer),
        parameters=int(model.num_parameters()),
        device=_devices(model),
        dtype=str(model.dtype).removeprefix("torch."),
        quantization=config.quantization,
        styles=prompts.styles(tokenizer),
        default_style=prompts.choose_style(tokenizer, prompt.style),
        inner_voice=adapters.reason_against(model),
        load_seconds=load_seconds,
        versions=lens.versions() | {"accelerate": version("accelerate")},
    )


def _context(text_config: Any, tokenizer: Any) -> int:
    """Tokens that prompt and answer may have together: what the positions allow, or less when the tokenizer says so."""
    positions = getattr(text_config, "max_position_embeddings", None) or 2048
    return int(min(positions, tokenizer.model_max_length or positions))


def _devices(model: Any) -> str:
    """The device, or all of them joined by "+" when accelerate spread the model."""
    mapped = getattr(model, "hf_device_map", None) or {"": model.device}
    names = dict.fromkeys(str(torch.device("cuda", d) if isinstance(d, int) else d) for d in mapped.values())
    return "+".join(names)


def _stop_ids(model: Any, tokenizer: Any, special: frozenset[int]) -> frozenset[int]:
    """Every id that ends an answer: the generation config's, the tokenizer's, and the ends of turn that it knows."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = set(configured) if isinstance(configured, list | tuple) else {configured}
    ids.add(tokenizer.eos_token_id)
    ids.update(i for i in tokenizer.convert_tokens_to_ids(list(_END_OF_TURN)) if i in special)
    return frozenset(int(i) for i in ids if i is not None)
