"""Ridge regression from each depth to the last block's output, in closed form, where the tuned lens begins. Knows tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_STRENGTHS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Of the penalty, as parts of the mean variance; the validation split chooses for each depth."""

_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Whitened:
    """States of each depth in coordinates of variance about one, and the map from there to the last output's direction."""

    mean: torch.Tensor  # (L, D)
    into: torch.Tensor  # (L, D, D): (state - mean) @ into
    map: torch.Tensor  # (L, D, D): … @ map + offset
    offset: torch.Tensor  # (L, D)
    scale: float
    """Root mean square of the last block's output; targets are of length one on the average coordinate."""

    def affine(self) -> tuple[torch.Tensor, torch.Tensor]:
        """A (L, D, D) and b (L, D) of ``h + A h + b`` in the residual stream's own scale."""
        whole = self.into @ self.map * self.scale  # (L, D, D), h @ whole
        bias = self.scale * self.offset - (self.mean[:, None] @ whole)[:, 0]
        return whole.mT - torch.eye(whole.shape[-1], device=whole.device), bias


def fit(train: torch.Tensor, validation: torch.Tensor) -> Whitened:
    """Regress the direction of the last output on each depth's state.

    The final norm divides by the length, so that only the direction counts, and long outputs shall not outweigh the others.

    Args:
        train: (N, L+1, D) states, the last block's output before the norm last.
        validation: as ``train``; chooses the penalty.
    """
    depths, width = train.shape[1] - 1, train.shape[2]
    scale = float(train[:, -1].float().pow(2).mean(-1).sqrt().mean())
    target, checks = unit(train[:, -1]), unit(validation[:, -1])
    offset = target.mean(0)
    mean, into, maps = torch.empty(depths, width), torch.empty(depths, width, width), torch.empty(depths, width, width)
    for depth in range(depths):
        x = train[:, depth].float()
        mean[depth] = x.mean(0)
        into[depth], maps[depth] = _solve(
            x - mean[depth], target - offset, validation[:, depth].float() - mean[depth], checks - offset
        )
    return Whitened(mean, into, maps, offset.repeat(depths, 1), scale)


def unit(last: torch.Tensor) -> torch.Tensor:
    """Outputs (n, D) scaled to root mean square one, in fp32."""
    last = last.float()
    return last / last.pow(2).mean(-1, keepdim=True).sqrt().clamp_min(1e-12)


def _solve(x: torch.Tensor, y: torch.Tensor, x_check: torch.Tensor, y_check: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whitening and map of one depth, all centred: the penalty with the least squared error on the checks."""
    values, vectors = torch.linalg.eigh((x.mT @ x).double() / len(x))
    values, vectors = values.clamp_min(0).float(), vectors.float()
    cross = vectors.mT @ (x.mT @ y) / len(x)  # (D, D)
    turned = x_check @ vectors
    best: tuple[float, torch.Tensor] | None = None
    for strength in _STRENGTHS:
        inverse = 1 / (values + strength * values.mean() + 1e-12)
        error = float((turned @ (inverse[:, None] * cross) - y_check).pow(2).mean())
        if best is None or error < best[0]:
            best = error, inverse
    root = best[1].sqrt()  # type: ignore[index]
    return vectors * root, root[:, None] * cross
