"""The front door: ``forwardpass`` and ``python -m bot``. Only turns errors into sentences and exit codes; see `bot.cli`."""

from __future__ import annotations

import sys

from rich.padding import Padding
from rich.text import Text

from bot.errors import ForwardPassError
from bot.redacting import clean


def main() -> None:
    """Run the command line. An error of our own tree ends in a sentence and exit code 1, never in a traceback."""
    from bot.cli import cli
    from bot.cli.screen import Screen
    from bot.cli.streams import prepare, whole

    prepare()
    sys.argv[1:] = [whole(argument) for argument in sys.argv[1:]]
    try:
        cli()
    except ForwardPassError as error:
        screen = Screen(stderr=True, highlight=False)
        screen.print(Text.assemble(("✗", "bold red"), f" {clean(error.message)}"))
        if error.hint:
            screen.print(Padding(Text(clean(error.hint)), (0, 0, 0, 2)))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
