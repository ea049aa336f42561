"""The front door: ``forwardpass`` and ``python -m bot``. Only turns errors into sentences and exit codes; see `bot.cli`."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.padding import Padding

from bot.errors import ForwardPassError


def main() -> None:
    """Run the command line. An error of our own tree ends in a sentence and exit code 1, never in a traceback."""
    from bot.cli import cli
    from bot.cli.streams import prepare, whole

    prepare()
    sys.argv[1:] = [whole(argument) for argument in sys.argv[1:]]
    try:
        cli()
    except ForwardPassError as error:
        Console(stderr=True).print(f"[bold red]✗[/] {_plain(error.message)}", highlight=False)
        if error.hint:
            Console(stderr=True).print(Padding(_plain(error.hint), (0, 0, 0, 2)), highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


if __name__ == "__main__":
    main()
