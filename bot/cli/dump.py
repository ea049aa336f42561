"""``forwardpass dump``: a dump of a new answer or of a stored run into a file, and a dump file shown in the terminal again.

A new answer takes the way that a question in Discord takes, with a database of its own that is gone afterwards, so that the file
is the one that Discord would give.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot import log as logs
from bot.app import App, open_app
from bot.cli.screen import Screen
from bot.cli.streams import question_of
from bot.config import Config
from bot.errors import DumpChoiceError, DumpFileError, EmptyQuestionError
from bot.render.export import FORMATS, Format, load
from bot.render.glyphs import columns
from bot.render.layers import layer_table_text
from bot.render.table import GUTTER, depth_map, monologue_panel, settle_summary
from bot.render.text import named, safe
from bot.services.asked import AskRequest
from bot.services.dumps import Wish, Written, places
from bot.services.monologue import tell, verify
from models.dump import LayerDump, What
from models.readings import emitted_text, predicts
from models.types import LensName, Style

STDOUT = Path("-")
_KNOWN = f"Use one of these endings: {', '.join(f'.{form}' for form in FORMATS)}. Or say --format."
EXAMPLE = 'For example: forwardpass dump "How many eyes does my foot have?" -o foot.json'
_DISPOSED = "Jacobian lens: what each depth is disposed to say. This is no prediction, so no text is written from it."
_BINARY = ("npz", "safetensors", "json.gz", "csv.gz")


@dataclass(frozen=True, slots=True)
class Given:
    """What the options say."""

    question: str | None
    run_id: str | None
    load: Path | None
    output: Path | None
    force: bool
    what: What
    form: Format | None
    positions: str | None
    depths: str | None
    lens: LensName | None
    style: Style | None
    token: int | None


def dump(config: Config, given: Given) -> None:
    """Do what the options say.

    Raises:
        ForwardPassError: they do not go together, or it cannot be done.
    """
    other = given.run_id is not None or given.load is not None
    question = given.question if other else question_of(given.question)
    if (question is not None) + (given.run_id is not None) + (given.load is not None) != 1:
        raise DumpChoiceError("Give one of them: a question, or --run, or --load.", hint=EXAMPLE)
    if given.load is not None:
        show(given.load, given.token)
        return
    if given.token is not None:
        raise DumpChoiceError("--token shows one token of a dump file.", hint="Add --load FILE, or leave --token out.")
    if given.output is None:
        raise DumpChoiceError("Say where the dump goes: -o FILE, or -o - for standard output.", hint=EXAMPLE)
    wish = Wish(given.what, form_of(given.form, given.output), _places(given.positions), _places(given.depths), given.lens)
    target = Target(given.output, given.force)
    if given.run_id is not None:
        dump_run(config, given.run_id, wish, target)
    else:
        dump_question(config, question or "", wish, target, style=given.style)


def _places(text: str | None) -> tuple[int, ...] | None:
    return None if text is None else places(text)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the file goes."""

    path: Path
    force: bool = False

    def check(self, form: Format) -> None:
        """Refuse what could not be written later.

        Raises:
            DumpFileError: there is a file of the name, or no folder for it.
            DumpChoiceError: bytes that are no text would go to a terminal.
        """
        if self.path == STDOUT:
            if form in _BINARY and sys.stdout.isatty():
                raise DumpChoiceError(f"{form} is no text, so a terminal cannot show it.", hint="Write it to a file: -o FILE.")
            return
        if self.path.is_dir() or not self.path.expanduser().resolve().parent.is_dir():
            raise DumpFileError(f"`{self.path}` cannot be written.", hint="Name a file in a folder that exists.")
        if self.path.exists() and not self.force:
            raise DumpFileError(f"`{self.path}` is there already.", hint="Choose another name, or add --force to replace it.")


def form_of(form: Format | None, path: Path) -> Format:
    """The format that was asked for, or that the file's name says; JSON where neither says one.

    Raises:
        DumpChoiceError: the name's ending is no format, or not the one that was asked for.
    """
    endings: list[Format] = [f for f in FORMATS if path.name.lower().endswith(f".{f}")]
    ending = max(endings, key=len, default=None)
    if form is None and ending is None and path.suffix:
        raise DumpChoiceError(f"`{path}` ends in {path.suffix}, which is no format of a dump.", hint=_KNOWN)
    if form is not None and ending not in {None, form}:
        raise DumpChoiceError(
            f"`{path}` ends in .{ending}, and --format says {form}.", hint="Leave --format out, or rename the file."
        )
    return form or ending or "json"


def dump_question(config: Config, question: str, wish: Wish, target: Target, *, style: Style | None) -> None:
    """Answer a question and write its dump.

    Raises:
        ForwardPassError: the question, the model or the wish is not fit.
    """
    if not question.strip():
        raise EmptyQuestionError("There is no question.", hint=EXAMPLE)
    target.check(wish.form)
    with tempfile.TemporaryDirectory(prefix="forward-pass-") as folder:
        url = f"sqlite+aiosqlite:///{Path(folder) / 'run.sqlite3'}"
        own = config.model_copy(update={"storage": config.storage.model_copy(update={"url": url})})

        async def ask(app: App, say: Say) -> str:
            request = AskRequest(question, user_id=0, channel_id=0, source="cli", style=style)
            return (await app.asks.ask(request, _Progress(say))).run.id

        asyncio.run(_dump(own, ask, wish, target))


def dump_run(config: Config, run_id: str, wish: Wish, target: Target) -> None:
    """Write the dump of a run that the configured database holds. Raises what `dump_question` raises, and RunExpiredError."""
    target.check(wish.form)

    async def stored(_app: App, _say: Say) -> str:
        return run_id

    asyncio.run(_dump(config, stored, wish, target))


Say = Callable[[str], None]


class _Progress:
    """A `bot.services.ask.Listener` that says what goes on."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def loading(self) -> None:
        self._say("waking up…")

    def queued(self, position: int) -> None:
        """Nobody else is in this line."""

    def text(self, so_far: str) -> None:
        self._say("answering…")


async def _dump(config: Config, run_of: Callable[[App, Say], Awaitable[str]], wish: Wish, target: Target) -> None:
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    console = Screen(stderr=True)
    with console.status("waking up…") as status, _beside(target) as part:
        async with open_app(config) as app:
            await app.model.ready()
            run_id = await run_of(app, status.update)
            status.update("reading every depth…")
            written = await app.dumps.write(run_id, wish, part)
    _tell(written, target)


@contextmanager
def _beside(target: Target) -> Iterator[Path]:
    """A file to write into that becomes the target when all went well, and is gone otherwise."""
    if target.path == STDOUT:
        with tempfile.TemporaryDirectory(prefix="forward-pass-") as folder:
            part = Path(folder) / "dump"
            yield part
            with part.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        return
    path = target.path.expanduser()
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise DumpFileError(f"`{target.path}` cannot be written: {error.strerror}.", hint="") from error
    finally:
        part.unlink(missing_ok=True)


def _tell(written: Written, target: Target) -> None:
    """What was written; in a terminal also what a lens dump shows."""
    to_stdout = target.path == STDOUT
    console = Screen(stderr=to_stdout)
    line = Text(f"{'' if to_stdout else f'{target.path}  '}{written.note}\nsha256 {written.sha256}")
    console.print(line, soft_wrap=True)
    if console.is_terminal and not to_stdout and written.what == "lens" and written.form != "html":
        show(target.path.expanduser())


def show(path: Path, token: int | None = None) -> None:
    """Print what a dump file holds: the depths as a map and the monologue of a whole lens dump, the arrays of any other.

    With a ``token`` of the answer, counted from 1, what each depth had in mind there.

    Raises:
        DumpFileError: it is no dump, or damaged.
        DumpChoiceError: it does not hold that token.
    """
    dump, console = load(path), Screen()
    layers = None if token is None else _layers(dump, token, console.width)
    console.print(Text(safe(" · ".join(_facts(dump))), "dim"))
    trace = dump.trace
    if trace is None:
        console.print(_arrays(dump))
        return
    note: list[RenderableType] = [] if predicts(trace) else [Text(_DISPOSED, "yellow")]
    if layers is not None:
        console.print(*note, layers, sep="\n", soft_wrap=True)
        return
    whole = trace.length == len(dump.answer_ids)  # what is told is told of a whole answer
    if whole:
        console.print(Text(safe("".join(trace.tokens).strip()), "bold"))
    told = [monologue_panel(verify(tell(trace), trace))] if whole and predicts(trace) else []
    summary = Padding(Text(settle_summary(trace), "dim"), (0, 0, 0, GUTTER))
    seen: list[RenderableType] = [depth_map(trace, width=console.width), summary]
    console.print(Padding(Group(*note, *told, *seen), (1, 0)))


def _layers(dump: LayerDump, token: int, width: int) -> Text:
    """A token's depths, from the last to the first; in a narrow terminal the candidates are cut, and never a figure.

    Raises:
        DumpChoiceError: the dump does not hold them.
    """
    trace, first = dump.trace, len(dump.prompt_ids)
    if trace is None:
        raise DumpChoiceError("This dump holds no candidates of all depths.", hint="Make one with --what lens, without --depths.")
    held = [int(position) - first + 1 for position in dump.positions]
    if token not in held:
        told = f"{held[0]} to {held[-1]}" if held == list(range(held[0], held[-1] + 1)) else ", ".join(map(str, held))
        raise DumpChoiceError(f"This dump holds no token {token} of the answer.", hint=f"It holds {told}.")
    t = held.index(token)
    for letters in range(12, 3, -1):
        table = safe(layer_table_text(trace, t, every=True, letters=letters))
        if max(columns(line) for line in table.splitlines()) <= width:
            break
    return Text(f"token {token}, {named(emitted_text(trace, t))}\n\n{table}")


def _facts(dump: LayerDump) -> Iterable[str]:
    meta = dump.meta
    yield f"{dump.what} ({meta['lens']})" if dump.what == "lens" and "lens" in meta else dump.what
    yield " ".join(str(word) for word in (meta.get("name") or meta.get("model"), meta.get("revision"), meta.get("dtype")) if word)
    yield f"{len(dump.prompt_ids)} + {len(dump.answer_ids)} tokens"
    yield f"{len(dump.positions)} positions, {len(dump.depths)} of {dump.layers + (dump.what != 'attention')} depths"
    if isinstance(meta.get("sampler"), Mapping):
        yield f"temperature {meta['sampler'].get('temperature')}, seed {meta.get('seed')}"


def _arrays(dump: LayerDump) -> Table:
    """Name, axes, shape and range of each array."""
    table = Table(box=None, pad_edge=False)
    for name in ("array", "axes", "shape", "type", "least", "most"):
        justify: Literal["left", "right"] = "right" if name in {"least", "most"} else "left"
        table.add_column(name, justify=justify, no_wrap=name not in {"axes", "shape"})
    for name, array in dump.arrays.items():
        ends = (f"{array.min():.4g}", f"{array.max():.4g}") if array.size and array.dtype.kind in "fi" else ("", "")
        shape = " × ".join(map(str, array.shape))
        table.add_row(Text(name), " × ".join(dump.axes(name)), shape, str(array.dtype), *ends)
    return table
