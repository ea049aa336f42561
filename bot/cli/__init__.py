"""The commands of ``forwardpass``: options are parsed here, the work is done elsewhere, heavy imports wait until needed.

`bot.cli.measuring` and `bot.cli.groups` declare the rest. The first sentence of each docstring is the command's line in the list
of commands, short enough for 60 columns; help is plain text, since boxes break words there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.compare import compare
from bot.cli.groups import lens_cli, model_cli
from bot.cli.measuring import evaluate_bank, measure
from bot.cli.options import (
    QUESTION,
    ConfigOption,
    JsonOption,
    LangOption,
    LensOption,
    SeedOption,
    StyleOption,
    TemperatureOption,
    TokensOption,
    locale_of,
    read_config,
    sampled,
)

cli = typer.Typer(
    name="forwardpass",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"forwardpass {version('forward-pass')}")
        raise typer.Exit


@cli.callback()
def front(
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")] = False,
) -> None:
    """Forward Pass: the Discord bot whose inner voice you can read."""


@cli.command()
def run(
    config: ConfigOption = None,
    sync: Annotated[bool, typer.Option("--sync", help="Send Discord the slash commands even if they did not change.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Take the place of a process that runs this bot already.")] = False,
) -> None:
    """Run the bot in Discord. It takes its token from FORWARDPASS_TOKEN, or from the file that the settings name."""
    from bot.cli.service import run_bot

    run_bot(read_config(config), sync=sync, force=force)


@cli.command()
def demo(
    config: ConfigOption = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")] = True,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="The port on this machine. 0 takes a free one.")
    ] = 0,
) -> None:
    """Try the bot in your browser. The page is a small Discord on this machine: it needs no token and no network."""
    from bot.cli.local_discord import run_demo

    run_demo(read_config(config), browser=browser, port=port)


@cli.command()
def ask(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help=QUESTION, show_default=False)] = None,
    config: ConfigOption = None,
    style: StyleOption = None,
    as_json: JsonOption = False,
    why: Annotated[
        bool,
        typer.Option(
            "--why",
            help="Also show which layers the deciding word depends on: each is removed in turn and compared with a random"
            " removal.",
        ),
    ] = False,
    watch: Annotated[
        str | None,
        typer.Option("--watch", metavar="WORDS", help="Follow these words through the depths: one,two.", show_default=False),
    ] = None,
    brief: Annotated[
        bool, typer.Option("--brief", help="Of the inner voice, show only the headline: what it said, and what it almost said.")
    ] = False,
    lang: LangOption = None,
    lens: LensOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Ask one question in the terminal.

    You see the answer, the inner voice, and a small map of the depths. A depth is what the model holds after so many of its
    layers: 0 is the input, the last is the output.
    """
    from bot.cli.streams import question_of
    from bot.cli.terminal import ask_once

    settings = sampled(read_config(config), temperature, seed, max_new_tokens)
    if lens is not None:
        settings = settings.model_copy(update={"lens": settings.lens.model_copy(update={"kind": lens})})
    words = [word.strip() for word in (watch or "").split(",") if word.strip()]
    asked = question_of(question) or ""
    ask_once(settings, asked, style=style, as_json=as_json, why=why, watch=words, brief=brief, locale=locale_of(lang))


@cli.command()
def chat(
    config: ConfigOption = None,
    style: StyleOption = None,
    lang: LangOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Talk with the model in the terminal. Each answer comes with its inner voice. End with an empty line or Ctrl-D."""
    from bot.cli.terminal import chat_loop

    chat_loop(sampled(read_config(config), temperature, seed, max_new_tokens), style=style, locale=locale_of(lang))


cli.command("compare")(compare)


@cli.command("dump")
def dump_layers(
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help=QUESTION, show_default=False)] = None,
    config: ConfigOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write this file. Its ending chooses the format: .json, .csv, .npz, .safetensors, .html, .json.gz or .csv.gz;"
            " without an ending it is JSON. - is standard output.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[
        Literal["lens", "hidden", "attention"],
        typer.Option(
            "--what",
            help="lens: the words that each depth would say. hidden: the residual stream, the vector that runs through all"
            " layers. attention: which tokens each head looks at.",
        ),
    ] = "lens",
    form: Annotated[
        Literal["json", "csv", "npz", "safetensors", "html", "json.gz", "csv.gz"] | None,
        typer.Option(
            "--format",
            help="The format, for a FILE whose ending names none. An ending that names another format is refused.",
            show_default=False,
        ),
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option(
            "--positions",
            metavar="LIST",
            help="Only these tokens, such as 3-7,9. They are counted from 0, prompt first, then answer. Without it: the answer.",
            show_default=False,
        ),
    ] = None,
    depths: Annotated[
        str | None,
        typer.Option("--depths", metavar="LIST", help="Only these depths, such as 0,20-30. Without it: all.", show_default=False),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="ID",
            help="Dump a stored answer instead of a question's. `forwardpass runs` lists the ids.",
            show_default=False,
        ),
    ] = None,
    load: Annotated[
        Path | None,
        typer.Option("--load", metavar="FILE", help="Show a dump file instead of making one.", show_default=False),
    ] = None,
    token: Annotated[
        int | None,
        typer.Option(
            "--token",
            metavar="N",
            min=1,
            help="With --load: show the Nth token of the answer at every depth.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    style: StyleOption = None,
    lens: LensOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Save what every depth held in a file. You name a question or a stored answer. --load shows such a file."""
    from bot.cli.dump import Given, dump

    settings = sampled(read_config(config), temperature, seed, max_new_tokens)
    dump(settings, Given(question, run_id, load, output, force, what, form, positions, depths, lens, style, token))


@cli.command("runs")
def list_runs(
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="List at most N.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the stored answers, newest first.

    It shows everybody's questions, private ones too. `forwardpass dump --run ID` takes the ids.
    """
    from bot.cli.runs import show_runs

    show_runs(read_config(config), limit=limit, as_json=as_json)


cli.command("eval")(evaluate_bank)
cli.command("bench")(measure)


@cli.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Check the settings and show them. It says which file they come from, and names everything that is wrong."""
    from bot.cli.service import show_config

    show_config(read_config(config), config)


@cli.command()
def invite(
    application_id: Annotated[
        str,
        typer.Argument(
            metavar="APPLICATION_ID",
            help="A number of 17 to 20 digits. You find it at https://discord.com/developers/applications: your application,"
            " General Information, Application ID.",
        ),
    ],
) -> None:
    """Print the link that adds the bot. An admin of the server opens it."""
    from bot.cli.service import show_invite

    show_invite(application_id)


cli.add_typer(model_cli, name="model")
cli.add_typer(lens_cli, name="lens")
