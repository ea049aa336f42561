"""The front door for notebooks: ``models.lens.trace`` reads every layer of a transformers model that you hold."""

from models.reading.lens import Lens, trace

__all__ = ["Lens", "trace"]
