"""The lenses of one loaded model by their names, each read from its file when it is first asked for. Knows files and no answers.

What a depth says through the Jacobian lens is no prediction, so that nothing is ever told from it: where it is the configured
lens, the told one is the logit lens, and the Jacobian lens is one more look.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.errors import LensFileError, LensNotFoundError
from models.lenses import store
from models.reading.lens import Lens
from models.sentences import Sentence
from models.types import LearnedLens, LensName, ModelConfig


class Shelf:
    """Lenses by name.

    Args:
        model: what they are held against, as long as its weights can be looked at.
        config: how it was named; says where its lenses lie.
        revision: of it, when known.
        kind: the configured lens.
        file: where that one lies; `models.lenses.store.default_file` when None.
        own: the configured lens itself, when the caller holds it already.
    """

    def __init__(
        self,
        model: Any,
        config: ModelConfig,
        *,
        revision: str | None = None,
        kind: LensName = "logit",
        file: Path | None = None,
        own: Lens | None = None,
    ) -> None:
        self._identity = store.identity_of(model, config.id, revision)
        self._config = config
        self._files = {kind: file}
        self._held: dict[str, Lens | None] = {"logit": None}
        if own is not None:
            kind = getattr(own, "name", "tuned")
            self._held[kind] = own
        self.told: LensName = "logit" if kind == "jacobian" else kind
        """The lens that is read where none is named, and that everything told is read through."""

    def get(self, name: LensName | None = None) -> Lens | None:
        """The lens of a name; None is the logit lens.

        Raises:
            LensNotFoundError: it has not been trained.
            LensFileError, LensOfAnotherModelError.
        """
        name = name or self.told
        if name not in self._held:
            self._held[name] = self._read(name)  # type: ignore[arg-type]  # logit is always held
        return self._held[name]

    def _read(self, name: LearnedLens) -> Lens:
        named = self._files.get(name)
        file = named or store.default_file(self._config, name)
        train = "forwardpass lens train" + (" --kind jacobian" if name == "jacobian" else "")
        if not file.is_file():
            where = Sentence(" There is no lens file {path}.", path=named) if named else ""
            raise LensNotFoundError(
                Sentence("This model has no {name} lens yet.{where}", name=Sentence(name), where=where),
                hint=Sentence("The person who hosts me can make one with `{train}`.", train=train),
            )
        found = store.load(file, self._identity)
        if found.name != name:
            raise LensFileError(
                Sentence(
                    "{file} is a {other} lens, but a {name} lens is wanted.",
                    file=file,
                    other=Sentence(found.name),
                    name=Sentence(name),
                ),
                hint=Sentence("Make one of the right kind with `{train}`.", train=train),
            )
        return found
