"""`/layers`, `/track`, `/dump`, their menu and the controls under an inner voice: parse, call the service, show.

Anybody who can see an answer may look into it. What comes is for the presser alone, unless a command says ``share``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import ForwardPassError
from bot.render.shades import Colour
from bot.services.layers import words_of
from bot.services.places import depth_choices, depths_of
from bot.ui import layers as show
from bot.ui.pressing import ANSWER_HELP, Cards, Press, everywhere, find, find_message, lead, locale_of, turn
from bot.ui.text import title, units
from bot.ui.tokens import tokens_of
from models.dump import What
from models.types import LensName, whole

if TYPE_CHECKING:
    from bot.client import ForwardPassBot
    from models.trace import Trace

SHARE_HELP = "Show it to everybody here. Otherwise only you see it."
WHICH_HELP = "Number of a token (piece of a word) in my answer. If empty: the deciding word (pivotal token)."
Format = Literal["html", "json", "csv", "npz", "safetensors", "json.gz", "csv.gz"]
Place = app_commands.Range[int, 1, 4096]


class Layers(commands.Cog):
    """Shows what each depth held."""

    def __init__(self, bot: ForwardPassBot) -> None:
        self._bot = bot
        self._app = bot.app
        self._menu = app_commands.ContextMenu(name="Layer dump", callback=self.dump_menu)
        everywhere(self._menu)

    async def cog_load(self) -> None:
        """Menus cannot be declared in a cog."""
        self._bot.tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """Take it back."""
        self._bot.tree.remove_command(self._menu.name, type=self._menu.type)

    @app_commands.command(name="layers", description="What each of my layers would have said at one token of my answer.")
    @app_commands.describe(
        answer=ANSWER_HELP,
        token=WHICH_HELP,
        colour="Also draw the heat map around that token, and colour it by this.",
        lens="The lens to read my layers through. If empty: my usual one.",
        share=SHARE_HELP,
    )
    @everywhere
    async def layers(
        self,
        interaction: Press,
        answer: str | None = None,
        token: Place | None = None,
        colour: Colour | None = None,
        lens: LensName | None = None,
        share: bool = False,
    ) -> None:
        """The table of one token."""
        t, locale = None if token is None else token - 1, locale_of(interaction)

        async def work() -> Cards:
            run = await find(interaction, answer, own=not share)
            found = await self._app.layers.token(run.id, t=t, colour=colour, lens=lens, locale=locale)
            return [show.layers_card(found, locale)]

        await lead(interaction, work, private=not share)

    @app_commands.command(name="track", description="Chart how likely up to five words were at each of my depths (layers).")
    @app_commands.describe(
        words="Up to five words, with commas between them. For example: no, one, two",
        answer=ANSWER_HELP,
        token=WHICH_HELP,
        share=SHARE_HELP,
    )
    @everywhere
    async def track(
        self,
        interaction: Press,
        words: app_commands.Range[str, 1, 250],
        answer: str | None = None,
        token: Place | None = None,
        share: bool = False,
    ) -> None:
        """The chart of words."""
        t, locale = None if token is None else token - 1, locale_of(interaction)

        async def work() -> Cards:
            chosen = words_of(words)
            run = await find(interaction, answer, own=not share)
            return [show.tracks_card(await self._app.layers.tracks(run.id, chosen, t=t, locale=locale), locale)]

        await lead(interaction, work, private=not share)

    @app_commands.command(name="dump", description="Everything that my second pass read, as a file.")
    @app_commands.describe(
        what="lens: what each depth would say. hidden: its state (residual stream). attention: all heads.",
        format="html opens in a browser, csv in a spreadsheet. json, npz and safetensors are for programs.",
        answer=ANSWER_HELP,
        positions="Which tokens, such as 1-5,8, or p1-p3 of the prompt. If empty: all tokens of the answer.",
        depths="Which depths (layers), such as 0,10-12. Depth 0 is the input. If empty: all.",
        lens="The lens to read my layers through. If empty: my usual one.",
        share=SHARE_HELP,
    )
    @everywhere
    async def dump(
        self,
        interaction: Press,
        what: What = "lens",
        format: Format = "html",
        answer: str | None = None,
        positions: app_commands.Range[str, 1, 100] | None = None,
        depths: app_commands.Range[str, 1, 100] | None = None,
        lens: LensName | None = None,
        share: bool = False,
    ) -> None:
        """A file."""

        async def work() -> Cards:
            run = await find(interaction, answer, own=not share)
            return await self._file(interaction, run.id, what, format, positions=positions, depths=depths, lens=lens)

        await lead(interaction, work, private=not share)

    @layers.autocomplete("token")
    @track.autocomplete("token")
    async def token_choices(self, interaction: Press, current: str) -> list[app_commands.Choice[int]]:
        """The tokens of the answer, those that fit what is typed."""
        trace = await self._kept(interaction)
        tokens = [] if trace is None else tokens_of(trace, locale_of(interaction))
        wanted = current.strip().casefold()
        fitting = [token for token in tokens if wanted in token.label.casefold()]
        return [app_commands.Choice(name=title(f"{token.label} · {token.note}"), value=token.t + 1) for token in fitting[:25]]

    @dump.autocomplete("positions")
    async def position_choices(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """Tokens of the answer, to be added to what is typed."""
        trace = await self._kept(interaction)
        tokens = [] if trace is None else tokens_of(trace, locale_of(interaction))
        done, comma, rest = current.rpartition(",")
        fitting = [token for token in tokens if rest.strip().casefold() in token.label.casefold()]
        offered = [(f"{done}{comma}{token.label}", f"{done}{comma}{token.t + 1}") for token in fitting]
        return _choices(current, offered)

    @dump.autocomplete("depths")
    async def depth_choices(self, interaction: Press, current: str) -> list[app_commands.Choice[str]]:
        """Depths of the model, to be added to what is typed."""
        info = self._app.model.info
        done, comma, rest = current.rpartition(",")
        offered = [
            (f"{done}{comma}{text}", f"{done}{comma}{text}") for text, _ in ([] if info is None else depth_choices(info.layers))
        ]
        return _choices(current, [pair for pair in offered if pair[1].startswith(current.strip()) or not rest])

    async def dump_menu(self, interaction: Press, message: discord.Message) -> None:
        """*Layer dump* on an answer."""
        locale = locale_of(interaction)

        async def work() -> Cards:
            return [show.offer_card((await find_message(interaction, message.id, own=True)).id, locale)]

        await lead(interaction, work, private=True)

    @commands.Cog.listener()
    async def on_run_press(self, interaction: Press, action: str, run_id: str) -> None:
        """*Layers* and *Layer dump* under an inner voice."""
        locale = locale_of(interaction)

        async def layers() -> Cards:
            return [show.layers_card(await self._app.layers.token(run_id, locale=locale), locale)]

        async def dump() -> Cards:
            await self._app.layers.alive(run_id)
            return [show.offer_card(run_id, locale)]

        works = {"layers": layers, "dump": dump}
        if action in works:  # else another cog's button
            await lead(interaction, works[action], private=True)

    @commands.Cog.listener()
    async def on_token_choice(self, interaction: Press, run_id: str, t: int) -> None:
        """A token was chosen to look into."""
        locale = locale_of(interaction)

        async def work() -> Cards:
            return [show.layers_card(await self._app.layers.token(run_id, t=t, locale=locale), locale)]

        await lead(interaction, work, private=True)

    @commands.Cog.listener()
    async def on_page_choice(self, interaction: Press, run_id: str, page: int) -> None:
        """Other tokens of a long answer."""
        locale = locale_of(interaction)

        async def work() -> Cards:
            _, trace = await self._app.voices.read(run_id)
            return [show.tokens_card(run_id, trace, page, locale)]

        await lead(interaction, work, private=True)

    @commands.Cog.listener()
    async def on_map_press(self, interaction: Press, run_id: str, page: int, colour: Colour, *, own: bool) -> None:
        """A page of the heat map: ``own`` turns in place, from an inner voice it opens one of the presser's own."""
        locale = locale_of(interaction)

        async def work() -> Cards:
            # Pages of the picture that stands in the thread, which the Jacobian lens draws where it is the configured one.
            lens: LensName | None = "jacobian" if self._app.config.lens.kind == "jacobian" else None
            return [
                show.map_card(await self._app.layers.page(run_id, page=page, colour=colour, lens=lens, locale=locale), locale)
            ]

        await (turn(interaction, work) if own else lead(interaction, work, private=True))

    @commands.Cog.listener()
    async def on_file_choice(self, interaction: Press, run_id: str, what: What, kind: Format) -> None:
        """A file was chosen."""
        await lead(interaction, lambda: self._file(interaction, run_id, what, kind), private=True)

    async def _file(
        self,
        interaction: Press,
        run_id: str,
        what: What,
        kind: Format,
        *,
        positions: str | None = None,
        depths: str | None = None,
        lens: LensName | None = None,
    ) -> Cards:
        at = await self._app.layers.places(run_id, positions, answer_alone=what == "lens")
        locale, chosen = locale_of(interaction), depths_of(depths)
        file = await self._app.dumps.of(
            run_id,
            what,
            kind,
            limit_bytes=interaction.filesize_limit,
            positions=at,
            depths=chosen,
            lens=lens,
            locale=locale,
            whole=self._app.config.discord.dump_prompt,
        )
        return [show.FileCard(file, what, kind, locale)]

    async def _kept(self, interaction: Press) -> Trace | None:
        """The trace of the answer that a command is about, if it is at hand: whoever types waits for nothing."""
        try:
            run = await find(interaction, getattr(interaction.namespace, "answer", None), own=True)
            return await self._app.layers.kept(run.id)
        except ForwardPassError:
            return None


def _choices(current: str, offered: list[tuple[str, str]]) -> list[app_commands.Choice[str]]:
    """What is typed first, as it is, then what is offered."""
    current = whole(current)
    typed = [(current, current)] if current.strip() else []
    unique = {value: name for name, value in [*typed, *offered] if value.strip()}
    return [
        app_commands.Choice(name=title(name), value=value) for value, name in list(unique.items())[:25] if units(value) <= 100
    ]


async def setup(bot: ForwardPassBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await bot.add_cog(Layers(bot))
