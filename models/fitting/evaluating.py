"""A learned lens beside the logit lens on text that it was not fitted on. Knows engines and files; prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.fitting import texts, training
from models.fitting.training import SELF_WRITTEN
from models.lenses import states, store
from models.lenses.affine import Card
from models.lenses.tuned import OnDone
from models.network import adapters
from models.types import ModelConfig, PromptConfig


@dataclass(frozen=True, slots=True)
class Measured:
    """KL(final || depth) in nats at depths 0 to L-1, mean over positions."""

    card: Card
    file: str
    source: str
    seed: int
    positions: int
    logit: Sequence[float]  # (L,)
    learned: Sequence[float]  # (L,)

    @property
    def nearer(self) -> int:
        """At how many depths the learned lens is nearer to the output."""
        return sum(mine < plain for mine, plain in zip(self.learned, self.logit, strict=True))

    @property
    def means(self) -> tuple[float, float]:
        """Over the depths: of the logit lens and of the learned one."""
        return sum(self.logit) / len(self.logit), sum(self.learned) / len(self.learned)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of the card what says which lens it was."""
        plain = asdict(self)
        plain["card"] = {
            name: plain["card"][name] for name in ("kind", "model", "revision", "layers", "source", "tokens", "seed")
        }
        logit, learned = self.means
        return plain | {"mean_logit": logit, "mean_learned": learned, "depths_nearer": self.nearer}


def measure(
    config: ModelConfig,
    path: Path,
    *,
    prompt: PromptConfig,
    tokens: int = 1_000,
    seed: int | None = None,
    words: str | None = None,
    source: str = SELF_WRITTEN,
    on_done: OnDone = lambda _stage, _done, _of: None,
) -> Measured:
    """Load the model and measure the lens at ``path`` on it.

    Args:
        config: which model.
        path: of the lens.
        prompt: of the self-written text.
        tokens: of text.
        seed: of the self-written text; the one after the lens's own when None.
        words: a text of the user's; the model writes when None.
        source: what is said of the text.
        on_done: gets the stages.

    Raises:
        LensNotFoundError, LensFileError, LensOfAnotherModelError, LensTrainingError: the text is too short; and what
            `models.fitting.training.open_readable` raises.
    """
    card = store.load(path).card  # what is wrong with the file is said before a model is loaded
    loaded = training.open_readable(config, on_done)
    lens = store.load(path, store.identity_of(loaded.model, config.id, loaded.revision))
    seed = card.seed + 1 if seed is None else seed
    if words is not None:
        pieces = texts.from_text(loaded.tokenizer, words, tokens=tokens)
    else:
        pieces = training.written_by(loaded, config, prompt, tokens, seed=seed, on_done=on_done)
    held = states.collect(loaded.model, adapters.find(loaded.model), pieces, lambda n: on_done("states", n, tokens))
    kl = training.table(adapters.find(loaded.model), held, {"logit": None, card.kind: lens}, on_done)
    return Measured(card, str(path), source, seed, len(held), kl["logit"], kl[card.kind])
