"""What a benchmark found, as frozen values that become JSON. Knows numbers; loads no torch and runs no model.

Times are in seconds, sizes in bytes, rates in units a second. A ratio of two series is the ratio of their medians; its spread is
that of the ratios repeat by repeat, as both were measured in turns.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: its median, its spread, and how often it was measured."""

    median: float
    low: float
    """The smallest."""
    q1: float
    q3: float
    most: float
    """The largest."""
    n: int
    unit: str

    @classmethod
    def of(cls, values: Sequence[float], unit: str) -> Figure:
        """The figure of a series of at least one value."""
        first, middle, third = quartiles(values)
        return cls(middle, min(values), first, third, max(values), len(values), unit)

    @classmethod
    def ratio(cls, over: Sequence[float], under: Sequence[float]) -> Figure:
        """The ratio of two series that were measured in turns."""
        pairs = [a / b for a, b in zip(over, under, strict=True)]
        first, _, third = quartiles(pairs)
        return cls(statistics.median(over) / statistics.median(under), min(pairs), first, third, max(pairs), len(pairs), "×")

    def scaled(self, factor: float, unit: str) -> Figure:
        """The same figure in another unit; ``factor`` is positive."""
        median, low, q1, q3, most = (value * factor for value in (self.median, self.low, self.q1, self.q3, self.most))
        return Figure(median, low, q1, q3, most, self.n, unit)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile, by linear interpolation between the sorted values."""
    return percentile(values, 25), statistics.median(values), percentile(values, 75)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which ``percent`` of a hundred lie, by linear interpolation between the sorted values."""
    ordered = sorted(values)
    at = (len(ordered) - 1) * percent / 100
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The exponent b of the power law y = a·x^b that lies nearest to the points on logarithmic axes (least squares)."""
    log_x, log_y = [math.log(x) for x in xs], [math.log(y) for y in ys]
    return statistics.linear_regression(log_x, log_y).slope


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured. The name of the machine itself is nobody's business and is not kept."""

    device: str
    kind: str
    cores: int
    threads: int
    dtype: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """The model that was measured."""

    name: str
    random: bool
    """Random weights of a named shape."""
    architecture: str
    layers: int
    hidden: int
    vocabulary: int
    parameters: int
    weight_bytes: int
    """Weights that one decoded token needs: blocks, final norm and head; of the input embeddings only one row."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the device can do at best; the best of several runs, with the spread of the way that was best."""

    matmul: Figure
    """FLOP/s of a large product in the model's dtype."""
    matmul_by: str
    bandwidth: Figure
    """Bytes/s read from a tensor that no cache holds."""
    bandwidth_by: str


@dataclass(frozen=True, slots=True)
class AnswerPass:
    """The engine beside transformers' `generate`: greedy, the same prompts, the same number of new tokens."""

    new_tokens: int
    prompt_tokens: tuple[int, ...]
    speed: Figure
    """Tokens/s of the whole answer pass, prompt included."""
    generate_speed: Figure
    ratio: Figure
    """The engine's speed over that of `generate`."""
    first_token: Figure
    decode_speed: Figure
    """Tokens/s after the first token."""
    limit: float
    """Tokens/s if reading the weights were all there is to do."""
    share_of_limit: Figure
    answers_compared: int
    answers_equal: int


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the second pass."""

    seconds: Figure
    to_reference: Figure
    """Time over that of the plain reference."""
    to_lean: Figure
    """Time over that of the reference whose forward pass computes no logits of its own but the last row's."""
    floor: float | None
    to_floor: Figure | None
    peak_bytes: int | None
    """Most memory held at once above what was held before."""
    probability_off: float | None
    """Largest difference of a kept candidate's probability to the reference."""
    states: str | None
    """What the trace says of where its states are from: captured or recomputed."""


@dataclass(frozen=True, slots=True)
class SecondPass:
    """One amount of work for the second pass, done in each way in turns."""

    prompt_tokens: int
    answer_tokens: int
    k: int
    ways: Mapping[str, Way]
    answer_seconds: Figure
    """The answer pass that gave the tokens."""
    of_answer: Figure
    """Time of the engine's own second pass over that of its answer pass."""


@dataclass(frozen=True, slots=True)
class Askers:
    """So many people asking at once."""

    askers: int
    new_tokens: int
    speed: Figure
    """Tokens/s of all together."""
    to_one: Figure
    """Over the speed with one asker."""
    latency_p50: Figure
    latency_p95: Figure
    first_p50: Figure
    first_p95: Figure


@dataclass(frozen=True, slots=True)
class Lag:
    """How late a coroutine of the event loop woke up, in seconds."""

    p50: float
    p99: float
    most: float
    n: int


@dataclass(frozen=True, slots=True)
class LoopLag:
    """The event loop with nothing to do, and while the model answers and reads."""

    sleep: float
    askers: int
    idle: Lag
    busy: Lag


@dataclass(frozen=True, slots=True)
class Scaling:
    """Time of the second pass when one thing grows and the others stay."""

    over: str
    sizes: tuple[int, ...]
    seconds: tuple[Figure, ...]
    slope: float
    """Log-log; 1 is in proportion."""
    fixed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Voices:
    """Inner voices while people ask again as soon as they have their answer."""

    askers: int
    answered: int
    told_during_load: int
    told: int
    refused: int
    begun_p50: float | None
    """From the answer until its second pass begins, over the time of the answer itself; likewise below."""
    begun_p95: float | None
    told_p50: float | None
    """Until the second pass, the evidence and the self-report are there."""
    told_p95: float | None
    latency_price: float
    """Median time of an answer over that without inner voices."""
    speed_price: float
    """Answers a second over those without inner voices."""


@dataclass(frozen=True, slots=True)
class BesideLong:
    """Short questions beside a long one and its inner voice, as multiples of one alone."""

    long_tokens: int
    long_answered: float
    """Seconds."""
    long_told: float
    """Seconds."""
    short_alone: float
    """Seconds."""
    asked: int
    median: float
    most: float


@dataclass(frozen=True, slots=True)
class BesideLooks:
    """Short questions beside many looks, as multiples of one alone."""

    looks: int
    looks_refused: int
    asked: int
    refused: int
    median: float | None
    most: float | None


@dataclass(frozen=True, slots=True)
class Starving:
    """Who waits for whom."""

    voices: Voices
    long: BesideLong
    looks: BesideLooks


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of one run; a part that was not asked for is None."""

    machine: Machine
    model: Measured | None
    rates: Rates | None = None
    answer: AnswerPass | None = None
    second: tuple[SecondPass, ...] | None = None
    askers: tuple[Askers, ...] | None = None
    lag: LoopLag | None = None
    scaling: tuple[Scaling, ...] | None = None
    starve: Starving | None = None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """One object that `json` can write."""
        return {"schema": SCHEMA, **asdict(self)}
