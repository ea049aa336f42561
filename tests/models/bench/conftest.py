"""One small subject and its whole report, measured once: all the tests look at the same figures."""

from __future__ import annotations

import pytest
import torch

from models.bench import subject, suite
from tests.models import tiny

CPU = torch.device("cpu")
SETTINGS = suite.Settings(askers=(1, 3), repeats=2, answer_tokens=5, new_tokens=6, asker_tokens=4, quick=True, small=True)


@pytest.fixture(scope="package")
def small() -> subject.Subject:
    config = tiny.config("llama", vocab_size=400, eos_token_id=None, pad_token_id=None)
    return subject.of_random(config, "small", device=CPU, dtype=torch.float32)


@pytest.fixture(scope="package")
def report(small):
    said: list[str] = []
    found = suite.run(lambda: small, SETTINGS, device=CPU, dtype=torch.float32, say=said.append)
    assert said
    return found
