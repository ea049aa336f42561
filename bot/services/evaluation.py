"""Runs the question bank through an engine, grades the answers, and scores every figure of confidence.

Knows the `Engine` of `models.types`, the bank and the readings; knows neither files nor terminals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, Literal, TypeVar

import numpy as np

from bot.services import scoring
from bot.services.agreement import sampled_jobs, with_agreement
from bot.services.bank import Entry, Kind, Lang, Plain, grade
from models import readings
from models.findings import SelfReport
from models.trace import Trace
from models.types import Answer, BatchEngine, Engine, Job, LensName, Prober, Sampling

Role = Literal["trick", "twin"]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure of confidence."""

    label: str
    sure: bool
    """Whether a higher value means a surer answer; fixed before anything was measured."""
    probability: bool
    """Whether it can be held against how often it was right."""


BASELINE = "answer_probability"
FIGURES: dict[str, FigureKind] = {
    BASELINE: FigureKind("answer probability (baseline)", True, True),
    "mean_probability": FigureKind("arithmetic mean of token probabilities", True, True),
    "pivotal_probability": FigureKind("probability of the pivotal token", True, True),
    "pivotal_entropy": FigureKind("entropy at the pivotal token", False, False),
    "settle_share": FigureKind("settle depth, share of L", False, False),
    "handover_share": FigureKind("handover, share of L", False, False),
    "considered": FigureKind("considered tokens", False, False),
    "kl_at_half": FigureKind("KL at half depth", False, False),
    "p_true": FigureKind("P(True)", True, True),
    "agreement": FigureKind("agreement of samples", True, True),
}


@dataclass(frozen=True, slots=True)
class Item:
    """One question to put."""

    entry: str
    kind: Kind
    lang: Lang
    role: Role
    asked: Plain

    @property
    def key(self) -> str:
        return f"{self.entry}/{self.lang}/{self.role}"


@dataclass(frozen=True, slots=True)
class Record:
    """What came of one question; a line of the output file."""

    key: str
    entry: str
    kind: Kind
    lang: Lang
    role: Role
    right: bool
    answer: str
    finish: str
    tokens: int
    figures: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many answers of a kind were right."""

    kind: str
    lang: str
    role: Role
    right: int
    count: int


@dataclass(frozen=True, slots=True)
class Score:
    """One figure: how it tells wrong answers, and how it is calibrated."""

    name: str
    label: str
    count: int
    auroc: scoring.Interval | None
    difference: scoring.Interval | None
    """AUROC minus the baseline's on the same answers."""
    by_role: Mapping[str, float | None]
    calibration_error: float | None
    bins: tuple[scoring.Bin, ...]

    @property
    def beats(self) -> bool:
        """Whether the whole interval of the difference lies above 0."""
        return self.difference is not None and self.difference.low > 0


@dataclass(frozen=True, slots=True)
class Report:
    """All that an evaluation found."""

    settings: Mapping[str, Any]
    accuracies: tuple[Accuracy, ...]
    scores: tuple[Score, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields."""
        return asdict(self)


def items(
    bank: Iterable[Entry], *, langs: Sequence[Lang] = ("en",), kind: Kind | None = None, limit: int | None = None
) -> list[Item]:
    """Tricks and twins to put, a trick beside its twin, the kinds in turn; ``limit`` counts tricks of each language."""
    kinds: dict[str, list[Entry]] = {}
    for entry in bank:
        if kind in (None, entry.kind):
            kinds.setdefault(entry.kind, []).append(entry)
    inturn = [entry for row in zip_longest(*kinds.values()) for entry in row if entry is not None]
    found: list[Item] = []
    for lang in langs:
        spoken = [(entry, asked) for entry in inturn if (asked := entry.asked(lang)) is not None]
        for entry, asked in spoken[:limit]:
            found.append(Item(entry.id, entry.kind, lang, "trick", asked))
            found.append(Item(entry.id, entry.kind, lang, "twin", asked.twin))
    return found


def evaluate(
    engine: Engine,
    todo: Sequence[Item],
    *,
    max_new_tokens: int,
    samples: int,
    together: int = 32,
    lens: LensName | None = None,
) -> Iterator[Record]:
    """Put the questions, greedily, so many at once; the records come in order, as each batch is done.

    The figures of the depths are those of ``lens``, the engine's own when None.

    Raises:
        ForwardPassError: whatever an answer or its second pass fails with; what was yielded before stands.
    """
    for start in range(0, len(todo), together):
        batch = todo[start : start + together]
        jobs = [Job(item.asked.question, sampling=Sampling(max_new_tokens=max_new_tokens)) for item in batch]
        answers = _answers(engine, jobs)
        traces = _traces(engine, answers, lens)
        drawn = _answers(engine, [more for job in jobs for more in sampled_jobs(job, samples)])
        for at, (item, answer, trace) in enumerate(zip(batch, answers, traces, strict=True)):
            report = _report(engine, item, answer, [a.text for a in drawn[at * samples : (at + 1) * samples]])
            yield _record(item, answer, figures(trace, report))


def figures(trace: Trace, report: SelfReport) -> dict[str, float | None]:
    """Every figure of confidence of one answer, by its name in `FIGURES`; None where there is none.

    The baseline is the sequence's own: the geometric mean of the final probabilities of the answer's tokens at temperature 1.
    """
    t = readings.pivotal(trace)
    found: dict[str, float | None] = {
        BASELINE: readings.sureness(trace),
        "mean_probability": readings.mean_final_prob(trace),
        "p_true": report.p_true,
        "agreement": report.agreement,
    }
    if t is not None:
        settled = readings.settle_depth(trace, t)
        found |= {
            "pivotal_probability": float(trace.emitted_prob[t, -1]),
            "pivotal_entropy": float(trace.entropy[t, -1]),
            "settle_share": 1.0 if settled is None else settled / trace.depths,
            "handover_share": readings.handover_depth(trace, t) / trace.depths,
            "considered": float(len({c.id for c in readings.considered(trace, t) if c.first_depth is not None})),
            "kl_at_half": readings.kl_at_half(trace, t),
        }
    return {name: found.get(name) for name in FIGURES}


def report_of(settings: Mapping[str, Any], records: Sequence[Record]) -> Report:
    """The report of the records, whatever order they came in."""
    return Report(dict(settings), tuple(_accuracies(records)), tuple(_score(name, records) for name in FIGURES))


def _score(name: str, records: Sequence[Record]) -> Score:
    used = [r for r in records if r.figures.get(name) is not None and r.figures.get(BASELINE) is not None]
    kind = FIGURES[name]
    values, wrong = _column(used, name), np.asarray([not r.right for r in used], dtype=bool)
    doubt = -values if kind.sure else values
    found = scoring.compared(doubt, -_column(used, BASELINE), wrong, [r.entry for r in used])
    roles = {role: np.asarray([r.role == role for r in used], dtype=bool) for role in ("trick", "twin")}
    bins = tuple(scoring.reliability(values, ~wrong)) if kind.probability else ()
    return Score(
        name,
        kind.label,
        len(used),
        found[0] if found else None,
        found[1] if found and name != BASELINE else None,
        {role: scoring.auroc(doubt[rows], wrong[rows]) for role, rows in roles.items()},
        scoring.calibration_error(bins),
        bins,
    )


def _column(records: Sequence[Record], name: str) -> scoring.Numbers:
    return np.asarray([r.figures[name] for r in records], dtype=np.float64)


def _accuracies(records: Sequence[Record]) -> Iterator[Accuracy]:
    for lang in dict.fromkeys(r.lang for r in records):
        for kind in (*dict.fromkeys(r.kind for r in records), "all"):
            for role in ("trick", "twin"):
                rows = [r for r in records if (r.lang, r.role) == (lang, role) and kind in (r.kind, "all")]
                if rows:
                    yield Accuracy(kind, lang, rows[0].role, sum(r.right for r in rows), len(rows))


def _record(item: Item, answer: Answer, found: Mapping[str, float | None]) -> Record:
    finite = {name: value if value is None or math.isfinite(value) else None for name, value in found.items()}
    right = grade(item.asked, answer.text)
    tokens = len(answer.answer_ids)
    return Record(item.key, item.entry, item.kind, item.lang, item.role, right, answer.text, answer.finish, tokens, finite)


def _report(engine: Engine, item: Item, answer: Answer, samples: Sequence[str]) -> SelfReport:
    report = engine.self_report(item.asked.question, answer) if isinstance(engine, Prober) else SelfReport(None, None)
    return with_agreement(report, answer.text, samples) if samples else report


def _answers(engine: Engine, jobs: Sequence[Job]) -> list[Answer]:
    if not isinstance(engine, BatchEngine):
        return [engine.answer(job) for job in jobs]
    found: dict[int, Answer | BaseException] = {}
    waiting = list(enumerate(jobs))
    places: dict[int, tuple[int, Any]] = {}  # the token is kept beside its place: its id is its own while it lives
    while waiting or places:
        while waiting and len(places) < engine.capacity:
            at, job = waiting.pop(0)
            token = engine.begin(job)
            places[id(token)] = (at, token)
        for token, ended in engine.step():
            found[places.pop(id(token))[0]] = ended
    return [_or_raise(found[at]) for at in range(len(jobs))]


def _traces(engine: Engine, answers: Sequence[Answer], lens: LensName | None) -> list[Trace]:
    if not isinstance(engine, BatchEngine):
        return [engine.trace(answer, lens=lens) for answer in answers]
    return [_or_raise(trace) for trace in engine.traces(answers, lens=lens)]


def _or_raise(value: Made | BaseException) -> Made:
    if isinstance(value, BaseException):
        raise value
    return value
