"""The named figures, against traces written by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from models import readings as read
from models.trace import Trace
from tests.bot.strategies import make_trace, trace_of_tops, traces

PIECES = {0: " the", 1: " two", 2: " four", 3: " a", 4: ",", 5: " eyes", 6: "\n"}
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one(*tops: int, emitted: int = 1) -> Trace:
    return trace_of_tops([list(tops)], [emitted], PIECES)


def test_settle_depth_is_where_it_stays_and_first_seen_where_it_first_is() -> None:
    trace = one(4, 4, 1, 2, 1, 2, 2, 1, 1)
    assert read.settle_depth(trace, 0) == 7
    assert read.first_seen_depth(trace, 0) == 2
    assert read.settle_depth(one(1, 1, 1), 0) == 0
    assert read.settle_depth(one(4, 4, 2), 0) is None
    assert read.first_seen_depth(one(4, 4, 2), 0) is None


def test_handover_is_where_the_divergence_stays_below_half_of_its_middle() -> None:
    trace = one(4, 4, 4, 4, 4, 4, 4, 4, 1)
    kl = np.array([[9, 9, 9, 9, 8.0, 3.0, 5.0, 3.9, 0.0]], dtype=np.float32)
    assert read.handover_depth(replace(trace, kl_to_final=kl), 0) == 7
    assert read.handover_depth(replace(trace, kl_to_final=np.zeros_like(kl)), 0) == 8
    assert read.kl_at_half(replace(trace, kl_to_final=kl), 0) == 8.0


def test_half_is_the_first_depth_of_the_upper_half() -> None:
    assert read.half(one(1, 1, 1, 1, 1)) == 2
    assert read.half(one(1, 1, 1, 1)) == 2
    assert read.half(one(1, 1)) == 1


def test_considered_tokens_are_those_on_top_in_the_upper_half_or_kept_at_the_end() -> None:
    trace = trace_of_tops([[2, 2, 3, 3, 5, 1, 1]], [1], PIECES, k=2)
    found = {item.id: item for item in read.considered(trace, 0)}
    assert set(found) == {0, 3, 5}
    assert (found[3].first_depth, found[3].last_depth, found[3].depths_on_top) == (3, 3, 1)
    assert found[0].first_depth is None
    assert found[0].final_prob == pytest.approx(float(trace.top_probs[0, -1, 1]))
    assert found[5].final_prob is None
    assert found[5].peak_depth == 4
    assert 1 not in found


def test_runs_on_top() -> None:
    trace = one(4, 2, 2, 2, 1, 2, 1)
    assert (read.run_start(trace, 0, 3), read.run_end(trace, 0, 1)) == (1, 3)
    assert (read.run_start(trace, 0, 5), read.run_end(trace, 0, 5)) == (5, 5)
    assert read.run_end(trace, 0, 6) == 6
    assert read.run_start(one(1, 1, 1), 0, 2) == 1, "depth 0 is no prediction"


def test_last_depth_figures() -> None:
    logits = np.log(np.array([[[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.125, 0.125]]]))
    trace = make_trace(logits, [1], {0: " a", 1: " b", 2: " c", 3: " d"})
    assert read.surprisal(trace, 0) == pytest.approx(math.log(4))
    assert read.runner_up(trace, 0) == 0
    assert read.perplexity(trace, 0) == pytest.approx(2**1.75)
    assert read.distinct_tops(trace, 0) == 1
    assert read.kept_prob(trace, 0, 1, 2) == pytest.approx(0.125)
    assert read.kept_prob(make_trace(logits, [1], trace.pieces, k=1), 0, 1, 2) is None
    assert read.runner_up(make_trace(logits, [0], trace.pieces, k=1), 0) is None


def test_sureness_is_the_geometric_mean_without_control_tokens() -> None:
    logits = np.log(np.array([[[0.5, 0.5]] * 2, [[0.125, 0.875]] * 2, [[0.9, 0.1]] * 2]))
    trace = make_trace(logits, [0, 0, 0], {0: " a", 1: " b"}, special=[False, False, True])
    assert read.sureness(trace) == pytest.approx(0.25)
    assert read.mean_final_prob(trace) == pytest.approx(0.3125)
    silent = make_trace(logits[2:], [0], {0: "<|end|>", 1: " b"}, special=[True])
    assert read.sureness(silent) is None
    assert read.mean_final_prob(silent) is None


@pytest.mark.parametrize(
    ("text", "before", "weight"),
    [
        (" two", "has", 1.0), ("2", " ", 1.0), ("No", "", 1.0), (" 没有", "", 1.0), (" blue", "is", 0.6), ("蓝", "是", 0.6),
        (" the", "", 0.1), ("'s", "He", 0.1), ("hole", " black", 0.1), ("5", "5", 0.1), (",", "", 0.0), ("\n", "", 0.0),
        ("", "", 0.0), ("\ufffd", "", 0.0),
    ],
)  # fmt: skip
def test_word_weight(text: str, before: str, weight: float) -> None:
    assert read.word_weight(text, before=before) == weight


def test_words_read_back_from_the_prompt_weigh_half() -> None:
    assert read.word_weight(" foot", repeated=True) == 0.3
    assert read.word_weight(" two", repeated=True) == 1.0


def test_the_pivotal_token_is_the_doubtful_word() -> None:
    pieces = {0: "The", 1: " answer", 2: " is", 3: " ", 4: "2", 5: ".", 6: "4", 7: "<|end|>"}
    tops = [[0] * 7, [1] * 7, [2] * 7, [3] * 7, [3, 3, 3, 3, 4, 6, 4], [5] * 7, [7] * 7]
    trace = trace_of_tops(tops, [0, 1, 2, 3, 4, 5, 7], pieces, special=[False] * 6 + [True])
    scores = read.pivot_scores(trace)
    assert read.pivotal(trace) == 4
    assert scores[[3, 5, 6]].tolist() == [0.0, 0.0, 0.0]


def test_without_a_word_there_is_no_pivotal_token() -> None:
    assert read.pivotal(trace_of_tops([[4, 4, 4], [6, 6, 6]], [4, 6], PIECES)) is None
    assert read.pivotal(trace_of_tops([[1, 1, 1]], [1], PIECES, special=[True])) is None
    assert read.pivotal(make_trace(np.zeros((0, 3, 4)), [], PIECES)) is None


def test_a_broken_character_is_named_by_its_own_piece() -> None:
    trace = trace_of_tops([[1, 1, 1]], [1], {**PIECES, 1: "\ufffd"})
    assert read.emitted_text(replace(trace, tokens=("",)), 0) == "\ufffd"
    assert read.token_text(trace, 99) == "⟨99⟩"
    assert read.text_at(replace(trace, tokens=("脚",)), 0, 1) == "脚"


@many
@given(traces())
def test_figures_lie_where_they_must(trace: Trace) -> None:
    pivot = read.pivotal(trace)
    assert pivot is None or (read.is_word(trace.tokens[pivot]) and not trace.special[pivot])
    for t in range(trace.length):
        settle, first = read.settle_depth(trace, t), read.first_seen_depth(trace, t)
        assert (settle is None) == bool(trace.emitted_rank[t, -1] > 0)
        assert settle is None or first is None or first <= settle
        assert read.half(trace) <= read.handover_depth(trace, t) <= trace.depths
        assert math.isfinite(read.surprisal(trace, t))
        assert read.surprisal(trace, t) >= 0
        for item in read.considered(trace, t):
            assert item.id != trace.answer_ids[t]
            assert item.depths_on_top or item.final_prob is not None
            assert read.half(trace) <= item.peak_depth <= trace.depths
