"""Tiny engines for the tests of the model side."""

import pytest

from models.running.engine import from_model
from tests.models import tiny


@pytest.fixture(scope="session")
def tokenizer():
    return tiny.tokenizer()


@pytest.fixture
def llama():
    return tiny.model("llama")


@pytest.fixture
def engine(llama, tokenizer):
    return from_model(llama, tokenizer)


@pytest.fixture
def folder(tmp_path):
    """A saved tiny model."""
    place = tmp_path / "tiny-model"
    tiny.save(place)
    return place
