"""The parts of the sweep that have a slow twin."""

from __future__ import annotations

import pytest
import torch

from models.network.likeliest import likeliest


@pytest.mark.parametrize("vocabulary", [128 * 64, 128 * 64 + 1, 128 * 64 + 127, 128 * 90, 5000, 100, 17])
@pytest.mark.parametrize("k", [1, 5, 16])
def test_the_likeliest_are_those_of_topk(vocabulary: int, k: int) -> None:
    rows = torch.randn(6, vocabulary, generator=torch.Generator().manual_seed(vocabulary)).log_softmax(-1)
    rows[0, -k:] = rows[0].max() + torch.arange(1, k + 1)  # the best of a row may all stand in the rest behind the blocks
    rows[1, :k] = rows[1].max() + torch.arange(1, k + 1)
    values, ids = likeliest(rows, k)
    expected = rows.topk(k, dim=-1)
    assert torch.equal(values, expected.values)
    assert torch.equal(ids, expected.indices)


def test_equal_values_are_each_given_once() -> None:
    rows = torch.zeros(2, 128 * 64)
    values, ids = likeliest(rows, 8)
    assert values.eq(0).all()
    assert all(len(set(row.tolist())) == 8 for row in ids)
