"""What no program could beat on this device: rates of plain products and reads, and the least time that work takes at them.

A part of the work takes at least its FLOPs over the best rate of a large matrix product, and at least its bytes over the rate at
which memory is read; the greater of the two is its floor. Left out, so that the floor stays one: attention's own products, norms,
softmax and top-k, and everything that is written. Knows torch; knows no models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from models.bench.clock import in_turns
from models.bench.results import Figure, Rates


@dataclass(frozen=True, slots=True)
class Work:
    """The second pass in numbers."""

    prompt_tokens: int
    answer_tokens: int
    layers: int
    block_parameters: int
    head_parameters: int
    itemsize: int
    """Bytes of one weight."""

    @property
    def head_flops(self) -> int:
        """Two for each weight of the head and each of (L+1)·T rows."""
        return 2 * self.head_parameters * (self.layers + 1) * self.answer_tokens

    @property
    def forward_flops(self) -> int:
        """Two for each weight of the blocks and each of P+T tokens."""
        return 2 * self.block_parameters * (self.prompt_tokens + self.answer_tokens)


def least_seconds(work: Work, *, flops: float, bandwidth: float, forward: bool) -> float:
    """The floor of the second pass, with its forward pass or, when the states are at hand, without."""
    head = max(work.head_flops / flops, work.head_parameters * work.itemsize / bandwidth)
    blocks = max(work.forward_flops / flops, work.block_parameters * work.itemsize / bandwidth)
    return head + blocks if forward else head


def decode_limit(weight_bytes: int, bandwidth: float) -> float:
    """Tokens/s of one asker when each token reads every weight once."""
    return bandwidth / weight_bytes


def measure(device: torch.device, dtype: torch.dtype, *, repeats: int, small: bool = False) -> Rates:
    """Product and read rates of a device. ``small``: sizes for a test, whose rates mean nothing."""
    with torch.inference_mode():
        products, flops = _products(device, dtype, small)
        reads, size = _reads(device, small)
        spent = in_turns({**products, **reads}, device, repeats=repeats, warm_ups=2)
    matmul_by, matmul = _best({name: [flops[name] / s for s in spent[name]] for name in products}, "FLOP/s")
    read_by, read = _best({name: [size / s for s in spent[name]] for name in reads}, "B/s")
    return Rates(matmul, matmul_by, read, read_by)


def best_rate(figure: Figure) -> float:
    """The rate that a floor is taken at: the fastest run's, as a floor must not rise because the machine was busy."""
    return figure.most


def _best(rates: dict[str, list[float]], unit: str) -> tuple[str, Figure]:
    name = max(rates, key=lambda name: max(rates[name]))
    return name, Figure.of(rates[name], unit)


def _products(device: torch.device, dtype: torch.dtype, small: bool) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """Square and unembedding-like products, by torch and, on a CPU, by oneDNN with the weight laid out beforehand."""
    wide = device.type != "cpu"
    sizes = [(64, 64, 64)] if small else [(8192,) * 3, (4096, 4096, 32768)] if wide else [(2048,) * 3, (512, 1024, 8192)]
    calls: dict[str, Callable[[], object]] = {}
    flops: dict[str, int] = {}
    for rows, inner, columns in sizes:
        x = torch.randn(rows, inner, device=device).to(dtype)
        weight = torch.randn(columns, inner, device=device).to(dtype)
        name = f"{rows}×{inner}×{columns}"
        calls[f"torch {name}"] = lambda x=x, weight=weight: torch.nn.functional.linear(x, weight)  # type: ignore[misc]
        packed = _packed_product(x, weight)
        if packed is not None:
            calls[f"oneDNN {name}"] = packed
        for call in calls:
            flops.setdefault(call, 2 * rows * inner * columns)
    return calls, flops


def _packed_product(x: torch.Tensor, weight: torch.Tensor) -> Callable[[], object] | None:
    """The product through oneDNN, or None where this build of torch cannot."""
    if x.device.type != "cpu":
        return None
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, x.shape[0])
        torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")
    except (RuntimeError, AttributeError, NotImplementedError):
        return None
    return lambda: torch.ops.mkldnn._linear_pointwise(x, packed, None, "none", [], "")


def _reads(device: torch.device, small: bool) -> tuple[dict[str, Callable[[], object]], int]:
    """Ways to read a tensor that is larger than any cache, and its bytes."""
    count = 1 << 12 if small else 1 << 29 if device.type == "cuda" else 1 << 26
    data = torch.ones(count, device=device)
    return {
        "sum": data.sum,
        "dot": lambda: torch.dot(data, data),
        "max": data.amax,
    }, data.nbytes
