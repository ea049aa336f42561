"""The floors, by hand."""

import pytest
import torch

from models.bench import floor
from models.bench.floor import Work

WORK = Work(prompt_tokens=30, answer_tokens=10, layers=4, block_parameters=1000, head_parameters=500, itemsize=4)


def test_the_work_is_counted() -> None:
    assert WORK.head_flops == 2 * 500 * 5 * 10
    assert WORK.forward_flops == 2 * 1000 * 40


@pytest.mark.parametrize(
    ("flops", "bandwidth", "forward", "seconds"),
    [
        (1e4, 1e9, True, 50_000 / 1e4 + 80_000 / 1e4),  # bound by products
        (1e4, 1e9, False, 50_000 / 1e4),
        (1e9, 100.0, True, 500 * 4 / 100 + 1000 * 4 / 100),  # bound by memory
        (1e9, 100.0, False, 500 * 4 / 100),
        (1e3, 50.0, True, 50.0 + 80.0),  # each part by the greater: head 50 over 40, blocks 80 over 80
    ],
)
def test_the_floor_is_the_greater_of_products_and_bytes(flops: float, bandwidth: float, forward: bool, seconds: float) -> None:
    assert floor.least_seconds(WORK, flops=flops, bandwidth=bandwidth, forward=forward) == pytest.approx(seconds)


def test_the_limit_of_decoding_is_bandwidth_over_weights() -> None:
    assert floor.decode_limit(500, 32_000.0) == 64.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rates_are_measured(dtype: torch.dtype) -> None:
    rates = floor.measure(torch.device("cpu"), dtype, repeats=2, small=True)
    assert rates.matmul.n == rates.bandwidth.n == 2
    assert floor.best_rate(rates.matmul) == rates.matmul.most > 0
    assert rates.matmul_by.startswith(("torch", "oneDNN"))
    assert rates.bandwidth_by in {"sum", "dot", "max"}
