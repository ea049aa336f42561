"""Turns, and the account of memory."""

import torch

from models.bench.clock import in_turns, peak_bytes

CPU = torch.device("cpu")


def test_ways_take_turns_and_warm_ups_do_not_count() -> None:
    done: list[str] = []
    calls = {name: lambda name=name: done.append(name) for name in "AB"}
    spent = in_turns(calls, CPU, repeats=2, warm_ups=1, before={"B": lambda: done.append("b")})
    assert "".join(done) == "AbB" * 3
    assert {name: len(values) for name, values in spent.items()} == {"A": 2, "B": 2}
    assert all(value >= 0 for values in spent.values() for value in values)


def test_the_peak_is_what_is_held_at_once() -> None:
    def work() -> None:
        first = torch.empty(1000, 250)  # 1 MB
        second = torch.empty(2000, 250)  # 3 MB held
        del first
        third = torch.empty(1500, 250)  # 3.5 MB held
        del second, third

    assert peak_bytes(work, CPU) == 3_500_000


def test_what_is_held_one_after_the_other_does_not_add_up() -> None:
    def work() -> None:
        for _ in range(3):
            torch.empty(250_000)

    assert peak_bytes(work, CPU) == 1_000_000
