"""One forward pass over prompt and answer, and what the probes keep of it. Knows modules; knows no probe.

The pass computes attention eagerly for its own thread alone, so that the weights can be read; the hooks go whatever happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from models.memory import free_bytes
from models.network.adapters import Parts
from models.network.residuals import hooked
from models.pieces import Pieces
from models.reading.passes import forward
from models.sentences import Sentence

_SCORES = 4
"""Copies of one block's scores that eager attention holds at once."""

_SHARE = 4
"""Of what is free, this part at most may go into the scores."""


class Unseen(Exception):  # noqa: N818  no error: a sentence for `Findings.notes`
    """Something cannot be looked at with this model, and the sentence that says why."""


@dataclass(slots=True)
class Seen:
    """What a pass held where it predicted the answer: T rows, one an answer token."""

    at_depth: dict[int, torch.Tensor] = field(default_factory=dict)  # (T, D) each; depth L before the final norm
    final: torch.Tensor | None = None  # (T, D') after it
    attention: list[torch.Tensor] | None = None  # L of (T, D), what attention added to the stream
    looked: torch.Tensor | None = None  # (T, P) mean over all heads of the last third of the blocks
    no_weights: str = Sentence("Not every block (layer) of this model has attention weights that can be read.")

    @property
    def states(self) -> list[torch.Tensor]:
        """Depths 0 to L, each (T, D)."""
        return [self.at_depth[d] for d in sorted(self.at_depth)]

    @property
    def normed(self) -> torch.Tensor:
        """Depth L, ready for the head: (T, D')."""
        if self.final is None:
            raise RuntimeError("the pass never came to the final norm")
        return self.final


def look(model: Any, parts: Parts, prompt_ids: Sequence[int], answer_ids: Sequence[int]) -> Pieces[Seen]:
    """One forward pass, in pieces over a long text; of attention it sees what ``parts`` and the memory allow."""
    prompt, answer = len(prompt_ids), len(answer_ids)
    note = Seen()
    weighs = parts.attends is not None and fits(model, prompt + answer, note)
    found: list[Seen] = []

    @contextmanager
    def watch(rows: int) -> Iterator[None]:
        found.append(Seen())
        watcher = _Watcher(found[-1], parts, prompt, rows, weighs)
        with ExitStack() as stack:
            handles = stack.enter_context(hooked(model))
            if weighs:
                stack.enter_context(eager(model))
            watcher.attach(handles)
            yield

    # the last position predicts nothing that is asked for; it is read as in a plain pass over the whole text, and left out
    yield from forward(model, parts, [*prompt_ids, *answer_ids], answer + 1, watch)
    return _joined(found, note.no_weights)


def _joined(found: Sequence[Seen], no_weights: str) -> Seen:
    """What the pieces of a pass saw, without the last position."""

    def rows(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        return (parts[0] if len(parts) == 1 else torch.cat(list(parts)))[:-1]

    first = found[0]
    return Seen(
        at_depth={depth: rows([one.at_depth[depth] for one in found]) for depth in first.at_depth},
        final=rows([one.normed for one in found]),
        attention=None
        if first.attention is None
        else [rows(of_block) for of_block in zip(*(one.attention or () for one in found), strict=True)],
        looked=None if first.looked is None else rows([one.looked for one in found if one.looked is not None]),
        no_weights=no_weights,
    )


@contextmanager
def eager(model: Any) -> Iterator[None]:
    """Let the passes of this thread compute attention eagerly; those of others go on as they were."""
    owner, changed = threading.get_ident(), []
    try:
        for config in {id(c): c for c in (model.config, model.config.get_text_config())}.values():
            base = type(config)
            usual = config._attn_implementation
            config.__class__ = type(base.__name__, (base,), {"_attn_implementation": property(_for(owner, usual))})
            changed.append((config, base))
        yield
    finally:
        for config, base in changed:
            config.__class__ = base


def _for(owner: int, usual: str | None) -> Callable[[Any], str | None]:
    return lambda _config: "eager" if threading.get_ident() == owner else usual


def last_third(count: int) -> range:
    """The blocks, from 0, of the last third, rounded up."""
    return range(count - -(-count // 3), count)


def fits(model: Any, length: int, seen: Seen) -> bool:
    """Whether the scores of one block have room."""
    size = _SCORES * 4 * model.config.get_text_config().num_attention_heads * length**2
    if size <= free_bytes(model.device) // _SHARE:
        return True
    seen.no_weights = Sentence("There is too little memory for the attention weights of a text of this length.")
    return False


class _Watcher:
    """The hooks of one pass, whose last ``rows`` positions count: they act for this thread alone."""

    def __init__(self, seen: Seen, parts: Parts, prompt: int, rows: int, weighs: bool) -> None:
        self._seen = seen
        self._parts = parts
        self._owner = threading.get_ident()
        self._prompt = prompt
        self._rows = rows
        self._blocks = last_third(len(parts.blocks))
        self._weighs = weighs
        if parts.attention is not None:
            seen.attention = []

    def attach(self, handles: list[Any]) -> None:
        parts = self._parts
        for depth, module in enumerate((*parts.blocks, parts.norm)):
            handles.append(module.register_forward_pre_hook(self._mine(self._enter(depth)), with_kwargs=True))
        handles.append(parts.norm.register_forward_hook(self._mine(self._leave)))
        handles.extend(m.register_forward_hook(self._mine(self._added)) for m in parts.attention or ())
        if self._weighs and parts.attends is not None:
            last = (parts.attends[b] for b in self._blocks)
            handles.extend(m.register_forward_hook(self._mine(self._weights)) for m in last)

    def _mine(self, hook: Callable[..., None]) -> Callable[..., None]:
        return lambda *args: hook(*args) if threading.get_ident() == self._owner else None

    def _enter(self, depth: int) -> Callable[..., None]:
        def hook(_module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            # the last call counts: some norm their embeddings with the final norm too
            self._seen.at_depth[depth] = self._cut(args[0] if args else kwargs["hidden_states"])

        return hook

    def _leave(self, _norm: Any, _args: Any, out: torch.Tensor) -> None:
        self._seen.final = self._cut(out)

    def _added(self, _module: Any, _args: Any, out: Any) -> None:
        if self._seen.attention is not None:
            self._seen.attention.append(self._cut(out[0] if isinstance(out, tuple) else out) * self._parts.residual)

    def _weights(self, _module: Any, _args: Any, out: Any) -> None:
        weights = out[1] if isinstance(out, tuple) and len(out) > 1 else None
        if not isinstance(weights, torch.Tensor) or weights.ndim != 4:
            return
        share = weights[0, :, -self._rows :, : self._prompt].float().mean(0).cpu() / len(self._blocks)  # (T, P)
        self._seen.looked = share if self._seen.looked is None else self._seen.looked + share

    def _cut(self, state: torch.Tensor) -> torch.Tensor:
        """The rows that count, (r, D); a view would keep the whole prompt's states alive."""
        return state.reshape(-1, state.shape[-1])[-self._rows :].clone()
