"""Linear layers for a CPU through oneDNN, their weights laid out once the way its kernels read them.

torch's own fp32 products go to MKL, which leaves half of some processors unused: on an AMD EPYC of 2024 it computes with half of
the vector width, and its matrix-vector product reads a third of what the memory gives. torch's own oneDNN does neither,
but torch uses it for fp32 only in compiled graphs; the operators here are those that its compiler emits when it freezes a model.
The numbers stay fp32 products and sums. Knows linear layers; knows nothing of models or lenses.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

_K = 192
"""Inputs that one product of an unembedding sums up. MKL sums in blocks of this size, and so an unembedding in these blocks
gives the very bits of a plain `torch.nn.functional.linear`; one sum over all inputs is up to three times as far off."""

_TILE = 8192
"""Rows of an unembedding's weight per product: what 128 states give with them stays in a processor's cache between the sums."""

_ROWS = 128
"""For how many states oneDNN is asked to lay a weight out. Measured: the layout for 128 is the fastest for 1 too."""

_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Layers that are called with the same input in most architectures: one product reads their weights as one."""

_TYPES = (torch.float32, torch.bfloat16)


@functools.cache
def available(dtype: torch.dtype = torch.float32) -> bool:
    """Whether this build of torch has the operators and they compute right on this CPU: tried on a small product.

    Below AVX-512 oneDNN refuses bfloat16.
    """
    try:
        weight = torch.linspace(-1, 1, 48 * 64).view(48, 64).to(dtype)
        x = torch.linspace(-2, 2, 3 * 64).view(3, 64).to(dtype)
        y = _product(x, _packed(weight), None)
        y = _sum(x, y, _packed(weight))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return bool(torch.allclose(y, 2 * x @ weight.t(), atol=1e-4 if dtype is torch.float32 else 0.5))


def packable(module: nn.Module) -> bool:
    """Whether ``module`` is a plain linear layer on a CPU: no subclass (quantized), nothing hooked onto it (offloaded)."""
    if type(module) is not nn.Linear or hasattr(module, "_hf_hook") or module._forward_hooks or module._forward_pre_hooks:
        return False
    weight = module.weight
    return type(weight) is nn.Parameter and weight.device.type == "cpu" and weight.dtype in _TYPES and available(weight.dtype)


def pack(model: Any) -> int:
    """Replace every packable linear layer of ``model`` in place; its dense weights are freed unless something else holds them.

    Returns:
        How many layers were replaced.
    """
    head, count = model.get_output_embeddings(), 0
    for parent in list(model.modules()):
        for names in _SIBLINGS:
            count += _pack_together(parent, names)
        for name, child in list(parent.named_children()):
            if packable(child):
                setattr(parent, name, PackedLinear(child, unembeds=child is head))
                count += 1
    return count


def _pack_together(parent: nn.Module, names: tuple[str, ...]) -> int:
    """Replace layers that read the same input by parts of one product; returns how many, 0 when they do not fit together."""
    linears: list[Any] = [getattr(parent, name, None) for name in names]
    if not all(isinstance(linear, nn.Module) and packable(linear) for linear in linears):
        return 0
    if len({(linear.in_features, linear.bias is None, linear.weight.dtype) for linear in linears}) > 1:
        return 0
    one = nn.Linear(linears[0].in_features, 1, device="meta")
    one.weight = nn.Parameter(torch.cat([linear.weight.detach() for linear in linears]), requires_grad=False)
    biases = [linear.bias.detach() for linear in linears if linear.bias is not None]
    one.bias = nn.Parameter(torch.cat(biases), requires_grad=False) if biases else None  # type: ignore[assignment]
    one.out_features = one.weight.shape[0]
    shared, start = Shared(PackedLinear(one.train(linears[0].training))), 0
    for name, linear in zip(names, linears, strict=True):
        setattr(parent, name, PackedPart(shared, slice(start, start + linear.out_features)))
        start += linear.out_features
    return len(names)


class PackedLinear(nn.Module):
    """A linear layer of packed weights: (…, in) to (…, out), as `torch.nn.Linear`.

    Args:
        linear: the layer to take the weights of.
        unembeds: it has a large vocabulary for output; computed tile by tile, see `_TILE` and `_K`.
    """

    def __init__(self, linear: nn.Linear, *, unembeds: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach()
        bias: torch.Tensor | None = linear.bias
        self._bias = None if bias is None else bias.detach()
        parts = _parts(weight) if unembeds else [(slice(0, self.out_features), [(slice(0, self.in_features), weight)])]
        self._tiles = [(rows, [(columns, _packed(part)) for columns, part in blocks]) for rows, blocks in parts]
        single = len(self._tiles) == 1 and len(self._tiles[0][1]) == 1
        self._whole = self._tiles[0][1][0][1] if single else None
        self.dtype = weight.dtype
        self.train(linear.training)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out, in), unpacked anew at each call."""
        dense = torch.empty(self.out_features, self.in_features, dtype=self.dtype)
        for rows, blocks in self._tiles:
            for columns, block in blocks:
                dense[rows, columns] = block.to_dense()
        return dense

    @property
    def bias(self) -> torch.Tensor | None:
        return self._bias

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self._bias is not None}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._whole is not None:
            return _product(x, self._whole, self._bias)
        flat = x.reshape(-1, self.in_features)  # (n, in)
        out = torch.empty(flat.shape[0], self.out_features, dtype=x.dtype)
        _fill(out, flat, self._tiles, self._bias)
        return out.view(*x.shape[:-1], self.out_features)

    def plus(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """``y`` (…, out) plus `forward` of x, summed inside the kernel."""
        if self._whole is None or self._bias is not None:
            return y + self.forward(x)
        return _sum(x, y, self._whole)

    def into(self, x: torch.Tensor, out: torch.Tensor) -> None:
        """`forward` of x (n, in) into a buffer (n, out)."""
        _fill(out, x, self._tiles, self._bias)


class Shared:
    """A product that several layers are parts of: computed when the first of them is called with an input, once for all."""

    def __init__(self, whole: PackedLinear) -> None:
        self.whole = whole
        self._parts: list[PackedPart] = []
        self._x: torch.Tensor | None = None
        self._y: torch.Tensor | None = None
        self._waiting: set[int] = set()

    def add(self, part: PackedPart) -> None:
        self._parts.append(part)

    def take(self, part: PackedPart, x: torch.Tensor) -> torch.Tensor:
        """The whole product with ``x``, for ``part``. Nothing is held once every part had it."""
        if self._x is not x or id(part) not in self._waiting or self._y is None:
            self._x, self._y, self._waiting = x, self.whole(x), {id(one) for one in self._parts}
        y = self._y
        self._waiting.discard(id(part))
        if not self._waiting:
            self._x = self._y = None
        return y


class PackedPart(nn.Module):
    """A linear layer that is some of the outputs of a `Shared` product."""

    def __init__(self, shared: Shared, rows: slice) -> None:
        super().__init__()
        self.shared = shared
        self._rows = rows
        self.in_features, self.out_features = shared.whole.in_features, rows.stop - rows.start
        self.train(shared.whole.training)
        shared.add(self)

    @property
    def weight(self) -> torch.Tensor:
        """The dense weight (out, in), unpacked anew at each call."""
        return self.shared.whole.weight[self._rows]

    @property
    def bias(self) -> torch.Tensor | None:
        whole = self.shared.whole.bias
        return None if whole is None else whole[self._rows]

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shared.take(self, x)[..., self._rows]


Tile = tuple[slice, list[tuple[slice, torch.Tensor]]]


def _parts(weight: torch.Tensor) -> Iterator[Tile]:
    """Tiles of rows, each in blocks of columns. bfloat16 keeps its columns together: sums would be rounded between the blocks."""
    step = _K if weight.dtype is torch.float32 else weight.shape[1]
    for top in range(0, weight.shape[0], _TILE):
        rows = slice(top, min(top + _TILE, weight.shape[0]))
        lefts = range(0, weight.shape[1], step)
        columns = [slice(left, min(left + step, weight.shape[1])) for left in lefts]
        yield rows, [(at, weight[rows, at]) for at in columns]


def _fill(out: torch.Tensor, x: torch.Tensor, tiles: Any, bias: torch.Tensor | None) -> None:
    pieces: dict[int, torch.Tensor] = {}  # each block of x laid out once for all tiles
    for rows, blocks in tiles:
        y: torch.Tensor | None = None
        for columns, block in blocks:
            piece = pieces.get(columns.start)
            if piece is None:
                piece = pieces[columns.start] = x[:, columns].contiguous()
            y = _product(piece, block, None) if y is None else _sum(piece, y, block)
        out[:, rows] = y if bias is None else y + bias[rows]  # type: ignore[operator,assignment]


def _packed(weight: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
    return packed


def _product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    y: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(x, weight, bias, "none", [], "")
    return y


def _sum(x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``y`` plus the product, the sum taken inside the kernel."""
    total: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, y, weight, None, "add")
    return total
