"""What tests everywhere share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from models.running.engine import TorchEngine


@pytest.fixture(scope="module")
def smollm() -> TorchEngine:
    """The default model's engine, where it was pulled."""
    from models.errors import ModelNotPulledError
    from models.loading import embedded
    from models.running.engine import load
    from models.types import ModelConfig

    try:
        embedded.locate()
    except ModelNotPulledError as error:
        pytest.skip(error.for_user())
    return load(ModelConfig(device="cpu", dtype="float32"))
