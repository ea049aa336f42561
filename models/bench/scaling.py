"""How the second pass's time grows with answer length, depth and vocabulary, on small random models."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from transformers import AutoConfig

from models.bench.clock import in_turns
from models.bench.results import Figure, Scaling, slope
from models.bench.shapes import random_model
from models.bench.subject import Say
from models.network import packing
from models.reading import lens

LENGTH, DEPTH, VOCABULARY = "answer length", "depth", "vocabulary"

BASE = {"cpu": {LENGTH: 32, DEPTH: 8, VOCABULARY: 16384}, "cuda": {LENGTH: 64, DEPTH: 16, VOCABULARY: 65536}}
SWEEPS: dict[str, dict[str, tuple[int, ...]]] = {
    "cpu": {LENGTH: (16, 32, 64, 128, 256), DEPTH: (4, 8, 16, 32, 64), VOCABULARY: (8192, 16384, 32768, 65536, 131072)},
    "cuda": {LENGTH: (32, 64, 128, 256, 512), DEPTH: (8, 16, 32, 64), VOCABULARY: (32768, 65536, 131072, 262144)},
}
HIDDEN = {"cpu": 128, "cuda": 1024}
PROMPT_TOKENS = 16
"""Few, so that the forward pass over them does not hide how the rest grows."""


def scaling(
    device: torch.device,
    dtype: torch.dtype,
    *,
    repeats: int,
    quick: bool,
    say: Say,
    sweeps: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Scaling, ...]:
    """The three sweeps; in each, the sizes take turns."""
    kind = device.type if device.type in BASE else "cpu"
    chosen: Mapping[str, Sequence[int]] = sweeps or SWEEPS[kind]
    found = []
    for over, all_sizes in chosen.items():
        sizes = all_sizes[:3] if quick else all_sizes
        say(f"scaling with {over}: {', '.join(map(str, sizes))}")
        calls = {str(size): _call({**BASE[kind], over: size}, HIDDEN[kind], device, dtype) for size in sizes}
        spent = in_turns(calls, device, repeats=repeats)
        seconds = tuple(Figure.of(spent[str(size)], "s") for size in sizes)
        fixed = {name: value for name, value in BASE[kind].items() if name != over}
        steepness = slope(sizes, [figure.median for figure in seconds])
        found.append(Scaling(over, tuple(sizes), seconds, steepness, {**fixed, "hidden": HIDDEN[kind]}))
    return tuple(found)


def _call(sizes: Mapping[str, int], hidden: int, device: torch.device, dtype: torch.dtype) -> Callable[[], Any]:
    """A cold second pass of these sizes."""
    config = AutoConfig.for_model(
        "llama",
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=sizes[DEPTH],
        vocab_size=sizes[VOCABULARY],
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = random_model(config, device=device, dtype=dtype)
    packing.pack(model)  # as `engine.load` does
    draw = random.Random(0)  # noqa: S311  no secret
    ids = [draw.randrange(sizes[VOCABULARY]) for _ in range(PROMPT_TOKENS + sizes[LENGTH])]
    return functools.partial(lens.trace, model, ids[:PROMPT_TOKENS], ids[PROMPT_TOKENS:], k=5)
