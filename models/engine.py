"""The front door for notebooks: ``models.engine.load`` gives an engine that answers and reads its own forward pass."""

from models.running.engine import TorchEngine, from_model, load

__all__ = ["TorchEngine", "from_model", "load"]
