"""The answer pass: many answers under way at once, each token of all of them from one forward pass (continuous batching).

A newcomer's prompt is read in pieces between the tokens of the others, then it joins their batch; an answer that ends leaves it.
What the model held at every depth where it predicted a token is kept for the second pass. Knows one loaded model; knows no
questions and no prompts' text.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch

from models.answering.batches import Batch, alike
from models.answering.course import Course
from models.answering.kv import GrowingCache, SharedCache
from models.answering.lean import LeanStep
from models.answering.sampling import NOT_FINITE, draw
from models.errors import OutOfMemoryError
from models.memory import memory_errors
from models.network.adapters import Parts
from models.network.edges import edge_of
from models.network.forward import input_device, last_row_only, not_finite
from models.network.residuals import tapped

_MOST = 1 << 20
"""Courses in one pass: no limit of the decoder's own; who calls `Decoder.add` keeps one."""

_MOST_STATES = 1 << 30
"""Bytes of states that all courses under way may hold; the second pass of one that lost its own computes them again."""

_WORTH_SHARING = 8
"""Tokens of a common beginning from which on it is read once."""

_PIECE = 512
"""Prompt tokens read at once: a product over so many rows is as fast as it gets. A longer prompt is read in pieces between the
tokens of the answers under way, and short ones go between its pieces."""

_SMALL = 128
"""Tokens of such a piece while answers are under way: what they wait at once stays at about an eighth of a second on a CPU."""

_PACE = 2
"""So many times as long as such a piece took do the answers under way then have the device: a long prompt makes them take half as
long again."""


log = logging.getLogger(__name__)


class Decoder:
    """Advances every course by one token a step.

    Args:
        model: in eval mode.
        parts: where it keeps its residual stream; None keeps no states and runs each course alone, with the model's own cache.
        capture: keep the states.
        lean: a quicker step for one more token of each sequence.
    """

    def __init__(self, model: Any, parts: Parts | None, *, capture: bool = True, lean: LeanStep | None = None) -> None:
        self._model = model
        self._lean = lean
        self._parts = parts
        self._capture = capture and parts is not None
        self._edge = edge_of(model)
        # Without reading again, a text beyond the edge holds keys of both kinds: it is read as it would be alone.
        self._together = parts is not None and parts.batches and (self._edge is None or self._edge.reads_again)
        self._device = input_device(model)
        self._last_only = last_row_only(model)
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters
        self._waiting: list[Batch] = []
        self._live: list[Batch] = []
        self._ended: list[Course] = []
        self._most = _MOST  # courses in one pass; less after a pass that found too little memory
        self._owed = 0.0  # seconds that the answers under way get before the next piece of a long prompt
        self._cut = False  # whether the last that was read of a prompt was such a piece

    @property
    def underway(self) -> int:
        """How many courses are not done."""
        return sum(len(batch.courses) for batch in (*self._waiting, *self._live))

    def add(self, course: Course) -> None:
        """Let it begin with the next step."""
        self._waiting.append(Batch([course], None, [0]))

    @torch.inference_mode()
    def step(self) -> list[Course]:
        """One token for every course under way, and a piece of a newcomer's prompt; returns those that ended."""
        for course in self._courses():
            course.check()
        self._clear()
        started = time.perf_counter()
        self._cross()
        for batch in list(self._live):
            self._run(batch, [[course.ids[-1]] for course in batch.courses])
        self._owed = max(0.0, self._owed - (time.perf_counter() - started)) if self._live else 0.0
        if self._waiting and self._turn():
            self._read_a_piece()
        self._clear()
        if not self.underway:
            self._most = _MOST
        ended, self._ended = self._ended, []
        return ended

    def _beyond(self, length: int) -> bool:
        return self._edge is not None and self._edge.beyond(length)

    def _cross(self) -> None:
        """Those whose text has just come over the edge leave their batch, and read all of it again."""
        if self._edge is None or not self._edge.reads_again:
            return
        for batch in list(self._live):
            over = [self._beyond(len(course.tokens)) and not self._beyond(read) for course, read in batch.each()]
            crossing = [course for course, crosses in zip(batch.courses, over, strict=True) if crosses]
            if crossing and self._guarded(batch, lambda batch=batch, over=over: batch.keep([not o for o in over])):  # type: ignore[misc]
                self._waiting[:0] = [Batch([course], None, [0]) for course in crossing]
        self._live = [batch for batch in self._live if batch.courses]

    def _courses(self) -> list[Course]:
        return [course for batch in (*self._waiting, *self._live) for course in batch.courses]

    def _clear(self) -> None:
        """Let those that are done leave."""
        self._ended += [course for course in self._courses() if course.done]
        for group in (self._waiting, self._live):
            for batch in list(group):
                self._guarded(batch, batch.drop_done)
            group[:] = [batch for batch in group if batch.courses]

    def _read_a_piece(self) -> None:
        """Read on in the prompts of the first newcomers; those that are through with it join the others."""
        batch = self._gather()
        if batch.cache is None and len(batch.courses) > 1:
            self._share(batch)
            if batch not in self._waiting:  # it failed
                return
        (course, *others), done = batch.courses, batch.read[0]
        width = max(len(c.tokens) for c in batch.courses)
        size = min(_SMALL, _PIECE) if self._live else _PIECE
        if self._edge is not None and self._beyond(width) and not self._beyond(done + size):
            size = self._edge.at + 1 - done  # every piece of a text beyond the edge is turned by the long factors
        self._cut = not others and width > _PIECE and width - done > size
        if self._cut:
            started = time.perf_counter()
            self._run(batch, [course.tokens[done : done + size]], draws=False)
            self._owed = _PACE * (time.perf_counter() - started)
            return
        self._run(batch, [c.tokens[read:] for c, read in zip(batch.courses, batch.read, strict=True)])
        if batch not in self._waiting:  # it failed
            return
        self._waiting.remove(batch)
        count = len(batch.courses)
        fitting = (live for live in self._live if len(live.courses) + count <= self._most and self._alike_turned(live, batch))
        roomy = next(fitting, None) if self._together else None
        if roomy is not None:
            self._guarded(roomy, lambda: roomy.join(batch))
        else:
            self._live.append(batch)

    def _alike_turned(self, one: Batch, other: Batch) -> bool:
        return self._beyond(max(one.read)) == self._beyond(max(other.read))

    def _turn(self) -> bool:
        """Put the newcomer first whose turn it is: a short one after a piece of a long one. False when none shall be read now."""
        at = 0
        if self._cut or self._owed:
            at = next((n for n, batch in enumerate(self._waiting) if len(batch.courses[0].tokens) <= _PIECE), 0)
        first = self._waiting[at]
        if self._owed and len(first.courses[0].tokens) > _PIECE:
            return False
        self._waiting.insert(0, self._waiting.pop(at))
        return True

    def _share(self, batch: Batch) -> None:
        """Read the beginning that all prompts of a batch have in common, a system prompt mostly, once for all of them.

        Every course is then to read as many tokens as the longest: a shorter one leaves the end of the beginning out of its
        cache, padded on the left instead, and reads it again for itself.
        """
        rows = [course.tokens for course in batch.courses]
        longest = max(map(len, rows))
        common = min(map(len, rows)) - 1  # the last token of each is read for itself: it predicts
        for row in rows[1:]:
            common = alike(rows[0], row, common)
        padding = [longest - len(row) for row in rows]
        if common - max(padding) < _WORTH_SHARING or self._beyond(longest) != self._beyond(common):
            return
        one = Batch(batch.courses, None, [0])
        self._waiting[0] = one  # should it fail, these fail
        self._run(one, [rows[0][:common]], draws=False)
        if one in self._waiting and self._guarded(one, lambda: one.cache.spread(padding)):
            batch.cache = one.cache
            batch.read = [common - pad for pad in padding]
            self._waiting[0] = batch

    def _gather(self) -> Batch:
        """The newcomers to read next: the first alone when it is long or begun, else all that fit beside it into one piece."""
        first = self._waiting[0]
        if not self._together or first.cache is not None:
            return first
        tokens = first.courses[0].tokens
        width, count, common = len(tokens), 1, len(tokens)
        for batch in self._waiting[1:]:
            others = batch.courses[0].tokens
            width, common = max(width, len(others)), alike(tokens, others, common)
            if self._beyond(len(others)) != self._beyond(len(tokens)):
                break
            if batch.cache is not None or count == self._most or common + (width - common) * (count + 1) > _PIECE:
                break
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        courses = [batch.courses[0] for batch in taken]
        gathered = Batch(courses, None, [0] * count)
        self._waiting.insert(0, gathered)
        return gathered

    def _run(self, batch: Batch, tokens: list[list[int]], *, draws: bool = True) -> None:
        """One forward pass of a batch over ``tokens``, one list a course."""
        self._guarded(batch, lambda: self._forward(batch, tokens, draws))

    def _guarded(self, batch: Batch, work: Callable[[], None]) -> bool:
        """Do what takes memory for a batch; on too little, its courses begin anew, fewer at once. Says whether it went well."""
        try:
            with memory_errors():
                work()
        except OutOfMemoryError as error:
            self._shrink(batch, error)
        except Exception as error:  # noqa: BLE001  whatever it is, it belongs to those who asked
            self._fail(batch, error)
        else:
            return True
        return False

    def _shrink(self, batch: Batch, error: OutOfMemoryError) -> None:
        """Begin the courses of a batch anew, fewer at a time, from the tokens that they have; one that is alone has to end."""
        if len(batch.courses) == 1:
            self._fail(batch, error)
            return
        self._forget(batch)
        self._most = len(batch.courses) // 2
        log.warning("out of memory with %d answers in one pass; going on with %d at once", len(batch.courses), self._most)
        self._waiting[:0] = [Batch([course], None, [0]) for course in batch.courses]

    def _fail(self, batch: Batch, error: Exception) -> None:
        for course in batch.courses:
            course.error = error
        self._ended += batch.courses
        self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        for group in (self._waiting, self._live):
            if batch in group:
                group.remove(batch)

    def _forward(self, batch: Batch, tokens: list[list[int]], draws: bool) -> None:
        width = max(map(len, tokens))
        padded = [[*([row[0]] * (width - len(row))), *row] for row in tokens]
        ids = torch.tensor(padded, device=self._device)  # (B, S)
        arguments: dict[str, Any] = {"input_ids": ids, "use_cache": True}
        if self._together and batch.cache is None:
            batch.cache = GrowingCache()
        lengths = [read + len(row) for read, row in zip(batch.read, tokens, strict=True)]
        if self._lean is not None and width == 1 and batch.read[0]:
            self._step_lean(self._lean, batch, ids, lengths)
            return
        if len(set(lengths)) > 1:
            longest = torch.tensor(lengths, device=self._device)[:, None]  # (B, 1)
            total = max(lengths)
            positions = torch.arange(total, device=self._device) - (total - longest)  # (B, total), below 0 where padded
            arguments["attention_mask"] = (positions >= 0).long()
            if self._takes_positions:
                arguments["position_ids"] = positions[:, -width:].clamp_min(0)
        elif not self._together and batch.cache is None and batch.read[0]:
            ids = torch.tensor([batch.courses[0].tokens], device=self._device)  # a model without a cache reads all again
            arguments["input_ids"] = ids
        states: dict[int, torch.Tensor] = {}
        keeps = self._capture and draws
        with tapped(self._model, self._parts, lambda d, s: states.update({d: s[:, -1].clone()})) if keeps else nullcontext():  # type: ignore[arg-type]
            if draws:
                out = self._model(past_key_values=batch.cache, **arguments, **self._last_only)
            else:  # nothing is asked of the head yet
                out = self._model.base_model(past_key_values=batch.cache, **arguments)
        batch.cache = getattr(out, "past_key_values", None)
        batch.read = lengths
        if draws:
            self._take(batch, out.logits[:, -1], states)

    def _step_lean(self, lean: LeanStep, batch: Batch, ids: torch.Tensor, lengths: list[int]) -> None:
        own, total = torch.tensor(lengths)[:, None], max(lengths)  # (B, 1)
        mask = None if min(lengths) == total else torch.arange(total) >= total - own  # (B, total)
        logits, states = lean(ids, own - 1, batch.cache, mask)
        batch.read = lengths
        self._take(batch, logits, dict(enumerate(states)) if self._capture else {})

    def _bound(self, of_one: int) -> None:
        """Let the longest courses lose their states, ``of_one`` bytes a token, when all together hold too much."""
        keeping = [course for course in self._courses() if course.keeps]
        if sum(len(course.states) for course in keeping) * of_one > _MOST_STATES:
            longest = max(keeping, key=lambda course: len(course.states))
            longest.keeps = False
            longest.states.clear()

    def _take(self, batch: Batch, logits: torch.Tensor, states: dict[int, torch.Tensor]) -> None:
        drawn = draw(logits, [course.sampler for course in batch.courses])
        if states:
            self._bound(sum(state[0].numel() * state.element_size() for state in states.values()))
        for row, (course, token) in enumerate(zip(batch.courses, drawn, strict=True)):
            if token == NOT_FINITE:
                course.error = not_finite(self._model)
                continue
            if states and course.keeps:
                course.states.append([states[depth][row] for depth in range(len(states))])
            try:
                course.push(token)
            except Exception as error:  # noqa: BLE001  a listener's failure is its asker's alone
                course.error = error


def shared_prefix(model: Any, ids: Sequence[int]) -> SharedCache:
    """Keys and values of ``ids`` (S,), read once, for any number of rows to go on from; with gradients where they are enabled."""
    cache = GrowingCache()
    model.base_model(input_ids=torch.tensor([list(ids)], device=input_device(model)), past_key_values=cache, use_cache=True)
    return SharedCache(cache)
