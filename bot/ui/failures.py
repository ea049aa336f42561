"""What a user reads when something went wrong, in the user's language. Knows no command and no answer."""

from __future__ import annotations

import logging

from discord import app_commands

from bot.errors import ForwardPassError
from bot.log import log_unexpected
from bot.ui.text import CONTENT_LIMIT, clip
from bot.ui.trouble import TROUBLE, described
from bot.ui.wording import told, words

log = logging.getLogger(__name__)


def failure(error: BaseException, locale: str) -> str:
    """The sentence for an error of our own, for trouble with Discord, or for a defect; the last two are logged."""
    if isinstance(error, ForwardPassError):
        if error.for_askers:
            log.info("an asker was told that something failed: %s", error.for_host())
        return clip(f"⚠️ {told(error, locale)}", CONTENT_LIMIT)
    if isinstance(error, TROUBLE):
        log.info("what was asked for was not taken: %s", described(error))
        return words(locale)("failed_not_taken", trouble=described(error))
    return unexpected(error, locale)


def refusal(error: app_commands.AppCommandError, locale: str) -> str:
    """The sentence for a slash command or menu that failed or was refused."""
    cause = error.original if isinstance(error, app_commands.CommandInvokeError) else error
    say = words(locale)
    if isinstance(cause, app_commands.CommandOnCooldown):
        return say("failed_cooldown", seconds=f"{cause.retry_after:.0f}")
    if isinstance(cause, app_commands.CheckFailure):
        return say("failed_check")
    if isinstance(cause, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
        return say("failed_changed")
    if isinstance(cause, app_commands.TransformerError):
        return say("failed_input")
    return failure(cause, locale)


def unexpected(error: BaseException, locale: str) -> str:
    """Log a defect and give the sentence for the user, with the id that finds it in the log."""
    return words(locale)("failed_inside", id=log_unexpected(log, error))
