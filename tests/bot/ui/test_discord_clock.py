"""What time it is at Discord, whatever the host's clock says."""

from __future__ import annotations

from datetime import UTC, datetime

import discord
import pytest

from bot.ui.discord_clock import DiscordClock

NOON = discord.utils.time_snowflake(datetime(2026, 3, 1, 12, tzinfo=UTC))


def test_it_goes_on_by_the_monotonic_clock() -> None:
    passed = 100.0
    clock = DiscordClock(lambda: passed)
    assert clock.now() is None
    clock.hear("Sun, 01 Mar 2026 12:00:00 GMT")
    assert clock.now() == NOON
    passed += 60
    assert clock.now() == NOON + (60_000 << 22)
    clock.hear("Sun, 01 Mar 2026 11:00:00 GMT")
    assert clock.now() == NOON - (3_600_000 << 22)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 01 Mar 2026 12:00:00", "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_a_reply_without_a_date_is_no_news(date: str | None) -> None:
    clock = DiscordClock(lambda: 0.0)
    clock.hear("Sun, 01 Mar 2026 12:00:00 GMT")
    clock.hear(date)
    assert clock.now() == NOON
