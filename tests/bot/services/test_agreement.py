"""Agreement: which answers mean the same."""

from __future__ import annotations

import pytest

from bot.services.agreement import agreement, meaning, sampled_jobs, with_agreement
from models.findings import SelfReport
from models.types import Job, Sampling


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Two.", "2"),
        ("Your foot has 2 eyes.", "It has two eyes!"),
        ("It is a towel.", "The towel"),
        ("A clock. It tells the time.", "clock"),
        ("No.", "None of them."),
        ("两只。", "2只"),
    ],
)
def test_the_same_meaning(one: str, other: str) -> None:
    assert meaning(one) == meaning(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2", "3"), ("It has eyes", "It has no eyes"), ("a towel", "a clock"), ("It is 2.", "It is not 2."), ("21", "20 1")],
)
def test_another_meaning(one: str, other: str) -> None:
    assert meaning(one) != meaning(other)


def test_share_and_groups() -> None:
    share, groups = agreement("Two eyes.", ["2", "It has two", "three", "None"])
    assert (share, groups) == (0.5, 3)
    assert agreement("Two", []) == (None, 0)


def test_it_stands_beside_the_self_report() -> None:
    report = with_agreement(SelfReport(0.25, 0.5), "Two", ["2", "3"])
    assert (report.p_true, report.said, report.agreement, report.samples, report.groups) == (0.25, 0.5, 0.5, 2, 2)


def test_samples_differ_by_their_seeds_alone() -> None:
    jobs = sampled_jobs(Job("What?", sampling=Sampling(max_new_tokens=7)), 3)
    assert [job.sampling.seed for job in jobs] == [1, 2, 3]
    assert {(job.question, job.sampling.temperature, job.sampling.max_new_tokens) for job in jobs} == {("What?", 1.0, 7)}
