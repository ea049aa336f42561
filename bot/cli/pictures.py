"""Picture files that a command is asked for: what can be said before the work, and writing them after it."""

from __future__ import annotations

from pathlib import Path

from bot.errors import ForwardPassError

PICTURES = (".png", ".svg", ".pdf")


def check_plot(plot: Path | None) -> None:
    """Refuse what could not be written later.

    Raises:
        ForwardPassError: the name is no picture's, or its folder is not there.
    """
    if plot is not None and plot.suffix.lower() not in PICTURES:
        raise ForwardPassError(f"`{plot}` is no picture.", hint=f"Give it a name that ends in {', '.join(PICTURES)}.")
    if plot is not None and not plot.expanduser().resolve().parent.is_dir():
        raise ForwardPassError(f"There is no folder for `{plot}`.", hint="Make it first.")


def write_plot(plot: Path, picture: bytes) -> None:
    """Write the bytes of a picture.

    Raises:
        ForwardPassError: the file cannot be written.
    """
    try:
        plot.expanduser().write_bytes(picture)
    except OSError as error:
        raise ForwardPassError(f"`{plot}` cannot be written: {error.strerror}.") from error
