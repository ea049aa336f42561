"""Discord's markup as the words that people see in its place: `<#123>` is a number to a model, `#general` is not.

https://docs.discord.com/developers/reference#message-formatting. Knows no question.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import discord

_MARKUP = re.compile(
    r"<(?:@!?(?P<user>\d{1,20})|@&(?P<role>\d{1,20})|#(?P<channel>\d{1,20})"
    r"|a?:(?P<emoji>\w{1,32}):\d{1,20}|/(?P<command>[^:<>\n]{1,100}):\d{1,20}"
    r"|t:(?P<time>-?\d{1,13})(?::(?P<style>[tTdDfFsSR]))?|id:(?P<page>customize|browse|guide|home|linked-roles)(?::\d{1,20})?)>",
    re.ASCII,
)
_TIMES = {"t": "%H:%M UTC", "T": "%H:%M:%S UTC", "d": "%Y-%m-%d", "D": "%Y-%m-%d"}
_PAGES = {"customize": "Channels & Roles", "browse": "Browse Channels", "guide": "Server Guide", "linked-roles": "Linked Roles"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(
    text: str,
    *,
    guild: discord.Guild | None,
    reader: discord.abc.User | None = None,
    names: Mapping[int, str] | None = None,
    unsaid: Collection[int] = (),
) -> str:
    """The text with names in place of ids.

    Args:
        text: as Discord gives it.
        guild: where it was written; ids of any other server stay unnamed.
        reader: who wrote it: channels that this person may not see stay unnamed, as Discord's own app leaves them.
        names: what people are called, by their ids.
        unsaid: users and roles whose mention means the bot itself: it is left out.
    """

    def named(found: re.Match[str]) -> str:
        kind = str(found.lastgroup) if found.lastgroup != "style" else "time"
        value = found[kind]
        if kind in {"user", "role"} and int(value) in unsaid:
            return ""
        if kind == "user":
            return "@" + _user(int(value), guild, names or {})
        if kind == "role":
            role = guild.get_role(int(value)) if guild else None
            return f"@{role.name.removeprefix('@')}" if role else "@role"
        if kind == "channel":
            return "#" + _channel(int(value), guild, reader)
        if kind == "time":
            return _time(int(value), found["style"]) or found[0]
        if kind == "page":
            return "#" + _PAGES.get(value, "Server Guide")
        return f":{value}:" if kind == "emoji" else f"/{value}"

    return _MARKUP.sub(named, text)


def _user(user_id: int, guild: discord.Guild | None, names: Mapping[int, str]) -> str:
    if user_id in names:
        return names[user_id]
    member = guild.get_member(user_id) if guild else None
    return member.display_name if member else "user"


def _channel(channel_id: int, guild: discord.Guild | None, reader: discord.abc.User | None) -> str:
    channel = guild.get_channel_or_thread(channel_id) if guild else None
    if channel is None or not _sees(reader, channel):
        return "channel"
    return channel.name


def _sees(reader: discord.abc.User | None, channel: discord.abc.GuildChannel | discord.Thread) -> bool:
    if not isinstance(reader, discord.Member):
        return False
    try:
        return channel.permissions_for(reader).view_channel
    except discord.ClientException:  # a thread whose channel is not known
        return False


def _time(seconds: int, style: str | None) -> str | None:
    """In UTC, since nobody says where the reader is; None beyond what a calendar holds: Discord shows no date there either."""
    try:
        moment = _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        return None
    return moment.strftime(_TIMES.get(style or "f", "%Y-%m-%d %H:%M UTC")) if moment.year >= 1000 else None
