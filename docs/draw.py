"""Draw the pictures of docs/images that show what a thread shows, from real answers of the default model.

    .venv/bin/python docs/draw.py          all of them
    .venv/bin/python docs/draw.py tracks   those whose names begin so

Greedy, in float32 as the config's defaults are: the same numbers each time on one machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from bot.config import load_config
from bot.render.attribution import attention_png, attribution_png
from bot.render.causal import causal_png
from bot.render.heatmap import heatmap_png
from bot.render.layers import layer_table_png
from bot.render.tracks import tracks_png
from models.findings import CausalCheck
from models.readings import pivotal
from models.running.engine import TorchEngine, load
from models.trace import Trace
from models.types import Job, Sampling, Style

IMAGES = Path(__file__).parent / "images"
FOOT = "How many eyes does my foot have?"
CHINESE = "中国的首都是哪里？"
EMOJI = "Repeat exactly: 😀🎉🐶🐱🍕🚀❤️🌍"
WORDS = ("two", "four", "one", "no", "zero")


@cache
def engine() -> TorchEngine:
    """The configured model, loaded once."""
    config = load_config(None)
    return load(config.model, prompt=config.prompt)


@cache
def trace(question: str, style: Style = "chat", most: int = 60) -> Trace:
    """The second pass over the answer, with what else there is to see."""
    answer = engine().answer(Job(question, (), style, Sampling(temperature=0.0, max_new_tokens=most)))
    seen = engine().trace(answer, k=10)
    return replace(seen, findings=engine().findings(answer, seen, question=question, watch=WORDS))


def why(question: str, style: Style = "chat") -> CausalCheck:
    """The causal check at the pivotal token."""
    answer = engine().answer(Job(question, (), style, Sampling(temperature=0.0, max_new_tokens=60)))
    return engine().why(answer, pivotal(trace(question, style)) or 0)


PICTURES: dict[str, Callable[[], bytes]] = {
    "heatmap.png": lambda: heatmap_png(trace(FOOT)),
    "heatmap-en.png": lambda: heatmap_png(trace(FOOT)),
    "heatmap-zh.png": lambda: heatmap_png(trace(CHINESE, most=28), locale="zh-CN", page=0),
    "heatmap-emoji.png": lambda: heatmap_png(trace(EMOJI), page=1),
    "heatmap-entropy.png": lambda: heatmap_png(trace(FOOT), colour="entropy"),
    "heatmap-kl.png": lambda: heatmap_png(trace(FOOT), colour="kl"),
    "heatmap-rank.png": lambda: heatmap_png(trace(FOOT), colour="rank"),
    "tracks.png": lambda: tracks_png(trace(FOOT, "story")),
    "layers.png": lambda: layer_table_png(trace(FOOT)),
    "layers-zh.png": lambda: layer_table_png(trace(FOOT), locale="zh-CN"),
    "attribution.png": lambda: attribution_png(trace(FOOT, "story")),
    "attention.png": lambda: attention_png(trace(FOOT, "story")),
    "causal.png": lambda: causal_png(why(FOOT), title=engine().info.name),
}


def main(wanted: list[str]) -> None:
    """Draw those whose names begin as wanted, or all."""
    for name, draw in PICTURES.items():
        if not wanted or name.startswith(tuple(wanted)):
            (IMAGES / name).write_bytes(draw())


if __name__ == "__main__":
    main(sys.argv[1:])
