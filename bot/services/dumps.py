"""Layer dumps of stored runs: what the second pass knows, as a file that is whole or not there. Knows no Discord and no torch.

A lens dump is the trace that the inner voice was told from; states and attention are computed again from the stored token ids,
which gives the same bits each time on one machine. Nothing is ever cut to fit: what is too large is refused, and the sentence
says what may be chosen.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bot.catalogue import CHINESE, ENGLISH
from bot.errors import DumpChoiceError, DumpTooLargeError, ForwardPassError
from bot.render.export import Format, write
from bot.render.export.size import Size, least_bytes, size_text
from bot.services.monologue import headline, if_true
from bot.services.voice import VoiceService
from bot.storage.records import Run, utc_now
from bot.storage.runs import RunStore
from models.dump import Chosen, LayerDump, What, choose_depths, choose_positions, lens_dump
from models.sentences import Sentence, either
from models.trace import Trace
from models.types import LENSES, Answer, LensName, ModelInfo, Style
from models.withheld import own_from, trace_without, without

log = logging.getLogger(__name__)

_MOST_PLACES = 100_000


class Model(Protocol):
    """What a dump needs of the loaded model; `bot.model_host.ModelHost` has it."""

    async def ready(self) -> ModelInfo: ...

    async def dump(self, answer: Answer, what: What, *, positions: Chosen = None, depths: Chosen = None) -> LayerDump: ...

    async def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What a dump shall hold. Positions are places in prompt + answer, from 0 (see `models.dump`); None is the usual ones."""

    what: What = "lens"
    form: Format = "json"
    positions: tuple[int, ...] | None = None
    depths: tuple[int, ...] | None = None
    lens: LensName | None = None
    """None: what the inner voice was read through."""
    limit_bytes: int | None = None
    locale: str = "en-US"
    """Of the page alone."""
    whole: bool = True
    """With the whole prompt; else without the system prompt and earlier turns, of which the reader may have no right to know."""


@dataclass(frozen=True, slots=True)
class Written:
    """What stands in a file."""

    what: What
    form: Format
    positions: int
    depths: int
    lens: str
    """"" where no lens has a part in it."""
    size: int
    sha256: str

    @property
    def note(self) -> str:
        """One line for who gets the file."""
        through = f" ({self.lens})" if self.lens else ""
        of = "blocks" if self.what == "attention" else "depths"
        return f"{self.what}{through}: {self.positions} positions × {self.depths} {of}, {self.form}, {size_text(self.size)}"


@dataclass(frozen=True, slots=True)
class DumpFile:
    """A dump that fits the limit."""

    name: str
    data: bytes = field(repr=False)
    written: Written


class DumpService:
    """Makes dumps of stored runs."""

    def __init__(self, *, runs: RunStore, model: Model, voices: VoiceService, now: Callable[[], datetime] = utc_now) -> None:
        self._runs = runs
        self._model = model
        self._voices = voices
        self._now = now

    async def of(
        self,
        run_id: str,
        what: What,
        form: Format,
        *,
        limit_bytes: int | None = None,
        positions: Chosen = None,
        depths: Chosen = None,
        lens: LensName | None = None,
        locale: str = "en-US",
        whole: bool = True,
    ) -> DumpFile:
        """The dump of a run, in memory; no file stays behind. See `Wish`.

        Raises:
            DumpTooLargeError: it would be larger than ``limit_bytes``; known before it is computed wherever that can be said.
            DumpChoiceError, NoSuchTokenError, NoSuchDepthError: what was chosen does not go together, or is not there.
            RunExpiredError, RunOfAnotherModelError, NoInnerVoiceError, ModelError.
        """
        wish = Wish(what, form, _tuple(positions), _tuple(depths), lens, limit_bytes, locale, whole)
        with tempfile.TemporaryDirectory(prefix="forward-pass-") as folder:
            path = Path(folder) / file_name(what, form)
            written = await self.write(run_id, wish, path)
            return DumpFile(path.name, await asyncio.to_thread(path.read_bytes), written)

    async def write(self, run_id: str, wish: Wish, path: Path) -> Written:
        """The dump of a run as a file; a file that is too large is gone again. Raises what `of` raises, and OSError."""
        if wish.form == "html" and (wish.what != "lens" or wish.depths is not None):
            raise DumpChoiceError(
                "An HTML page always shows what the lens reads at every depth.",
                hint="Choose only the lens and positions, or choose another format.",
            )
        run = await self._runs.get(run_id)
        dump, others = await (self._lens(run, wish) if wish.what == "lens" else self._states(run, wish))
        written = await asyncio.to_thread(self._write, dump, wish, path, others)
        log.info("run %s: dump %s as %s, %d bytes", run.id, wish.what, wish.form, written.size)
        return written

    async def _lens(self, run: Run, wish: Wish) -> tuple[LayerDump, list[Trace]]:
        _run, told = await self._voices.read(run.id)
        choose_positions("lens", wish.positions, len(told.prompt_ids), told.length)  # said before any more is computed
        shown = told if wish.lens is None else await self._voices.through(run, told, wish.lens)
        others = await self._others(run, told, shown, wish) if wish.form == "html" else []
        first = await self._own_from(run, wish, told.prompt_ids.tolist())
        dump = lens_dump(shown, positions=wish.positions, depths=wish.depths)
        return without(dump, first), [trace_without(trace, first) for trace in others]

    async def _others(self, run: Run, told: Trace, shown: Trace, wish: Wish) -> list[Trace]:
        """The same answer through each other lens that there is, for the page to switch between."""
        found = []
        for lens in LENSES:
            if lens == shown.lens:
                continue
            try:
                trace = await self._voices.through(run, told, lens)
            except ForwardPassError as error:
                log.debug("run %s: the page goes without the %s lens (%s)", run.id, lens, type(error).__name__)
                continue
            cut = lens_dump(trace, positions=wish.positions).trace
            found += [cut] if cut is not None else []
        return found

    async def _own_from(self, run: Run, wish: Wish, prompt_ids: Sequence[int]) -> int:
        """From where on the prompt may be given out: all of it, or the run's own question in its frame.

        Of a run of another model, or while there is none, nobody can tell the two apart, and only the last token is given.
        """
        if wish.whole:
            return 0
        try:
            bare = await self._model.bare_prompt(run.question, run.style or "chat")  # an answered run has one
            await self._voices.same_model(run)
        except ForwardPassError as error:
            log.info("run %s: its dump goes without its prompt (%s)", run.id, type(error).__name__)
            bare = ()
        return own_from(prompt_ids, bare)

    async def _states(self, run: Run, wish: Wish) -> tuple[LayerDump, list[Trace]]:
        answer = await self._voices.answer_of(run)
        first = await self._own_from(run, wish, answer.prompt_ids)
        if min(wish.positions or (first,)) < first:
            raise DumpChoiceError(
                Sentence(
                    "Of the prompt, I give out only p{first} to p{last} here: the question itself.",
                    first=first + 1,
                    last=len(answer.prompt_ids),
                ),
                hint="Choose tokens of these, or of the answer.",
            )
        self._estimate(await self._model.ready(), answer, wish)
        dump = await self._model.dump(answer, wish.what, positions=wish.positions, depths=wish.depths)
        return without(dump, first), []

    def _estimate(self, info: ModelInfo, answer: Answer, wish: Wish) -> None:
        """Refuse what cannot fit before it is computed."""
        prompt, length = len(answer.prompt_ids), len(answer.answer_ids)
        at = choose_positions(wish.what, wish.positions, prompt, length)
        depths = choose_depths(wish.what, wish.depths, info.layers)
        least = least_bytes(wish.what, wish.form, Size(tuple(at.tolist()), len(depths), prompt + length, info.width, info.heads))
        if wish.limit_bytes is not None and least > wish.limit_bytes:
            raise _too_large(wish, least, len(at), len(depths), estimated=True)

    def _write(self, dump: LayerDump, wish: Wish, path: Path, others: list[Trace]) -> Written:
        created = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            heads = _headlines(dump) if wish.form == "html" and wish.positions is None else None
            write(dump, wish.form, path, created=created, others=others, locale=wish.locale, headlines=heads)
            size, digest = _weighed(dump, wish, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        lens = str(dump.meta.get("lens", "logit")) if dump.what == "lens" else ""
        return Written(dump.what, wish.form, len(dump.positions), len(dump.depths), lens, size, digest)


def _headlines(dump: LayerDump) -> dict[str, str]:
    """What stands under the answer on a page, in each of its languages; of a part of an answer nobody could count the words."""
    if (trace := dump.trace) is None:
        return {}
    heads = {locale: if_true(headline(trace, locale), trace) for locale in (ENGLISH, CHINESE)}
    return {locale: head.text for locale, head in heads.items() if head is not None}


def _weighed(dump: LayerDump, wish: Wish, path: Path) -> tuple[int, str]:
    """Bytes and SHA-256 of a file that may be as large as it is."""
    size = path.stat().st_size
    if wish.limit_bytes is not None and size > wish.limit_bytes:
        raise _too_large(wish, size, len(dump.positions), len(dump.depths), estimated=False)
    with path.open("rb") as file:
        return size, hashlib.file_digest(file, "sha256").hexdigest()


def file_name(what: What, form: Format) -> str:
    """What a dump is called."""
    return f"forward-pass-{what}.{form}"


def places(text: str) -> tuple[int, ...]:
    """Numbers and ranges as a person writes them: ``3-7,9``.

    Raises:
        DumpChoiceError: it is not written so.
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        low, high = (int(n) if n.isascii() and n.isdecimal() and len(n) < 8 else -1 for n in (first, last if dash else first))
        if low < 0 or high < low or high - low >= _MOST_PLACES:
            raise DumpChoiceError(
                Sentence("I cannot read `{text}`.", text=text[:40]), hint="Write numbers and ranges like 3-7,9."
            )
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def _too_large(wish: Wish, size: int, positions: int, depths: int, *, estimated: bool) -> DumpTooLargeError:
    """The sentence: how large, what may be sent, and what to choose."""
    limit = wish.limit_bytes or 0
    fitting, fewer = (count * limit * 19 // (size * 20) for count in (positions, depths))  # some room for the head
    choices: list[str] = []
    if fitting:
        choices.append(Sentence("at most {most} of the {count} positions", most=fitting, count=positions))
    if fewer:
        choices.append(Sentence("at most {most} of the {count} depths", most=fewer, count=depths))
    choices += [] if choices else [Sentence("far fewer positions and depths")]
    if not wish.form.endswith((".gz", "npz")):
        smaller = f"{wish.form}.gz" if wish.form in {"json", "csv"} else "npz"
        choices.append(Sentence("{form}, which is compressed", form=smaller))
    about = Sentence("at least ") if estimated else ""
    return DumpTooLargeError(
        Sentence(
            "This dump has {about}{size} as {form}, but only {limit} may be sent here.",
            form=wish.form,
            about=about,
            size=size_text(size),
            limit=size_text(limit),
        ),
        hint=Sentence("Choose {choices}.", choices=either(choices)),
        size=size,
        limit=limit,
        estimated=estimated,
    )


def _tuple(chosen: Chosen) -> tuple[int, ...] | None:
    return None if chosen is None else tuple(chosen)
