"""The commands of ``forwardpass``: options are parsed here, the work is done elsewhere, heavy imports wait until needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from bot.cli.compare import compare
from bot.cli.options import ConfigOption, SeedOption, StyleOption, TemperatureOption, TokensOption, read_config, sampled

cli = typer.Typer(
    name="forwardpass",
    help="Forward Pass: the Discord bot whose inner voice you can read.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
model_cli = typer.Typer(help="The default model's weights, and what any other model would need.", no_args_is_help=True)
cli.add_typer(model_cli, name="model")
lens_cli = typer.Typer(help="A lens that is trained for the model, instead of the logit lens.", no_args_is_help=True)
cli.add_typer(lens_cli, name="lens")
cli.command("compare")(compare)


@cli.command()
def run(
    config: ConfigOption = None,
    sync: Annotated[bool, typer.Option("--sync", help="Send the slash commands even if they did not change.")] = False,
) -> None:
    """Run the bot in Discord. The token comes from FORWARDPASS_TOKEN or from the file that the config names."""
    from bot.cli.service import run_bot

    run_bot(read_config(config), sync=sync)


@cli.command()
def demo(
    config: ConfigOption = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Loopback port; 0 takes a free one.")] = 0,
) -> None:
    """Run the real bot in a local Discord in your browser: no token, no network."""
    from bot.cli.local_discord import run_demo

    run_demo(read_config(config), browser=browser, port=port)


@cli.command()
def ask(
    question: Annotated[str, typer.Argument(help="For example: How many eyes does my foot have?")],
    config: ConfigOption = None,
    style: StyleOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Take each block out: which ones does the pivotal token hang on?")] = False,
    watch: Annotated[
        str | None, typer.Option("--watch", help="Words to follow across the depths: one,two.", show_default=False)
    ] = None,
    lens: Annotated[
        Literal["logit", "tuned", "jacobian"] | None,
        typer.Option("--lens", help="What the depths are read through; jacobian is shown, not told.", show_default=False),
    ] = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Ask one question in the terminal: the answer, its inner voice, a small map of the depths."""
    from bot.cli.terminal import ask_once

    settings = sampled(read_config(config), temperature, seed, max_new_tokens)
    if lens is not None:
        settings = settings.model_copy(update={"lens": settings.lens.model_copy(update={"kind": lens})})
    words = [word.strip() for word in (watch or "").split(",") if word.strip()]
    ask_once(settings, question, style=style, as_json=as_json, why=why, watch=words)


@cli.command()
def chat(
    config: ConfigOption = None,
    style: StyleOption = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Talk in the terminal; each answer comes with its inner voice. An empty line or Ctrl-D ends it."""
    from bot.cli.terminal import chat_loop

    chat_loop(sampled(read_config(config), temperature, seed, max_new_tokens), style=style)


@cli.command("dump")
def dump_layers(
    question: Annotated[
        str | None, typer.Argument(help="For example: How many eyes does my foot have?", show_default=False)
    ] = None,
    config: ConfigOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; - is the standard output.", show_default=False)
    ] = None,
    what: Annotated[
        Literal["lens", "hidden", "attention"],
        typer.Option("--what", help="What the lens reads, the residual stream, or the attention of all heads."),
    ] = "lens",
    form: Annotated[
        Literal["json", "csv", "npz", "safetensors", "html", "json.gz", "csv.gz"] | None,
        typer.Option("--format", help="By the file's name otherwise.", show_default=False),
    ] = None,
    positions: Annotated[
        str | None,
        typer.Option("--positions", help="Of prompt + answer, from 0: 3-7,9. The answer's otherwise.", show_default=False),
    ] = None,
    depths: Annotated[str | None, typer.Option("--depths", help="Such as 0,20-30; all otherwise.", show_default=False)] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", help="Of a stored answer, instead of a question.", show_default=False)
    ] = None,
    load: Annotated[
        Path | None, typer.Option("--load", help="Show a dump file instead of making one.", show_default=False)
    ] = None,
    token: Annotated[
        int | None, typer.Option("--token", min=1, help="With --load: the depths of this token.", show_default=False)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    style: StyleOption = None,
    lens: Annotated[
        Literal["logit", "tuned", "jacobian"] | None,
        typer.Option("--lens", help="What the depths are read through.", show_default=False),
    ] = None,
    temperature: TemperatureOption = None,
    seed: SeedOption = None,
    max_new_tokens: TokensOption = None,
) -> None:
    """Write what every depth held while it answered: JSON, CSV, NPZ, safetensors or a page. --load shows such a file."""
    from bot.cli.dump import Given, dump

    settings = sampled(read_config(config), temperature, seed, max_new_tokens)
    dump(settings, Given(question, run_id, load, output, force, what, form, positions, depths, lens, style, token))


@cli.command("bench")
def measure(
    config: ConfigOption = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another model than the configured one.", show_default=False)
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="Random weights of a real shape: llama-8b, gpt2 …", show_default=False),
    ] = None,
    layers: Annotated[
        int | None, typer.Option("--layers", min=1, max=1000, help="Cut the shape to so many layers.", show_default=False)
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.", show_default=False)] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:N or mps.", show_default=False)] = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Some of: answer,second,askers,lag,scaling,starve.", show_default=False)
    ] = None,
    askers: Annotated[
        str | None, typer.Option("--askers", help="How many at once, such as 1,4,16,64.", show_default=False)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option("--repeats", min=1, max=1000, help="Turns of each; 9 otherwise.", show_default=False)
    ] = None,
    answer_tokens: Annotated[
        int | None,
        typer.Option("--answer-tokens", min=1, max=1024, help="Of the second pass; 20 otherwise.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer turns and tokens: a look, not a measurement.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw a picture into this file.", show_default=False)] = None,
) -> None:
    """Measure the answer pass, the second pass, many askers at once and the event loop, against plain transformers."""
    from bot.cli.bench import Wishes, run_bench

    wishes = Wishes(model, shape, layers, dtype, device, only, askers, repeats, answer_tokens, quick)
    run_bench(read_config(config), wishes, as_json=as_json, plot=plot)


@cli.command("eval")
def evaluate_bank(
    config: ConfigOption = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Another model than the configured one.", show_default=False)
    ] = None,
    lang: Annotated[Literal["en", "zh", "all"], typer.Option("--lang", help="Which questions.")] = "en",
    kind: Annotated[
        Literal["false_premise", "category_mistake", "pattern_trap", "riddle", "impossible_date"] | None,
        typer.Option("--kind", help="One kind of trick only.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many tricks at most.", show_default=False)] = None,
    samples: Annotated[int, typer.Option("--samples", min=0, max=100, help="Drawn for the agreement; 0 draws none.")] = 5,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, max=4096, help="Longest answer, in tokens.")] = 40,
    output: Annotated[
        Path | None, typer.Option("--output", help="Keep the answers in this JSONL file; go on from it.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw a picture into this file.", show_default=False)] = None,
) -> None:
    """Put the trick questions and their plain twins to a model; say which figure of confidence tells its wrong answers."""
    from bot.cli.evaluate import Wishes, run_eval

    wishes = Wishes(model, lang, kind, limit, samples, max_new_tokens, output)
    run_eval(read_config(config), wishes, as_json=as_json, plot=plot)


@cli.command("check-config")
def check_config(config: ConfigOption = None) -> None:
    """Read the config and say what is wrong with it, or what it comes to."""
    from bot.cli.service import show_config

    show_config(read_config(config))


@cli.command()
def invite(
    application_id: Annotated[int, typer.Argument(help="The application id, from the developer portal's General Information.")],
) -> None:
    """Print the link with which a server's admin adds the bot."""
    from bot.client import invite_url

    typer.echo(invite_url(application_id))


@model_cli.command("pull")
def model_pull(
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch and convert again.")] = False,
) -> None:
    """Download the default model once (about 93 MB) and convert it, so that later starts take a second or two."""
    from bot.cli.weights import pull

    pull(read_config(config), force=force)


@model_cli.command("path")
def model_path(config: ConfigOption = None) -> None:
    """Print where the default model lies."""
    from bot.cli.weights import folder

    typer.echo(folder(read_config(config)))


@model_cli.command("info")
def model_info(
    model_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="A Hugging Face id, a folder, a .gguf file or `default`; the config's when empty."),
    ] = None,
    config: ConfigOption = None,
    revision: Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a Hugging Face id.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say what a model needs and can do here, from its config alone: no weights are downloaded or loaded."""
    from bot.cli.weights import info

    info(read_config(config), model_id, revision=revision, as_json=as_json)


@lens_cli.command("train")
def lens_train(
    config: ConfigOption = None,
    kind: Annotated[
        Literal["tuned", "jacobian"], typer.Option("--kind", help="tuned predicts the end; jacobian: disposed to say.")
    ] = "tuned",
    text: Annotated[
        Path | None, typer.Option("--text", help="A text file to fit on; otherwise the model writes.", show_default=False)
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", min=64, max=10_000_000, help="Of text; 20000 for tuned, 384 for jacobian.", show_default=False),
    ] = None,
    steps: Annotated[int, typer.Option("--steps", min=0, max=1_000_000, help="Of tuned, after the regression.")] = 250,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the text and of the steps.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", help="Of the lens; `lens.file` otherwise.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was broken off.")] = False,
) -> None:
    """Train a lens of the configured model, and say how near to its output it is at each depth."""
    from bot.cli.lens import Wishes, train

    train(read_config(config), Wishes(kind, text, tokens, steps, seed, output, resume))


@lens_cli.command("eval")
def lens_eval(
    file: Annotated[
        Path | None, typer.Argument(help="A lens file; the configured model's lens of --kind when empty.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    kind: Annotated[
        Literal["tuned", "jacobian"] | None, typer.Option("--kind", help="`lens.kind` otherwise.", show_default=False)
    ] = None,
    text: Annotated[
        Path | None, typer.Option("--text", help="A text file to measure on; otherwise the model writes.", show_default=False)
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", min=64, max=1_000_000, help="Of text.")] = 1_000,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of the text; one that the lens was not made with.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw a picture into this file.", show_default=False)] = None,
) -> None:
    """Measure a lens on text that it was not fitted on: how far each depth is from the output, beside the logit lens."""
    from bot.cli.lens import Measure, evaluate

    evaluate(read_config(config), Measure(file, kind, text, tokens, seed), as_json=as_json, plot=plot)


@lens_cli.command("info")
def lens_info(
    file: Annotated[Path, typer.Argument(help="A lens file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
) -> None:
    """Say which model a lens file was made for, and how near to its output it is at each depth."""
    from bot.cli.lens import info

    info(file, as_json=as_json)
