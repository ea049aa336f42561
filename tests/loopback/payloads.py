"""What Discord's JSON looks like: one server, one channel, one bot, two people. Knows no socket and keeps no state but ids."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import discord

from bot.client import PERMISSIONS

Json = dict[str, Any]

BOT, ALICE, BOB = 100000000000000001, 100000000000000002, 100000000000000003
GUILD, CHANNEL, DM = 200000000000000001, 300000000000000001, 300000000000000002
NAMES = {BOT: "forward-pass", ALICE: "alice", BOB: "bob"}
MENTION = f"<@{BOT}>"

_counter = itertools.count()


AHEAD = datetime.timedelta()
"""How far Discord's clock is before the host's."""


def moment() -> datetime.datetime:
    return discord.utils.utcnow() + AHEAD


def snowflake(ago: float = 0.0) -> str:
    """An id of this moment, or of some seconds before; discord.py reads an interaction's age from its id."""
    return str(discord.utils.time_snowflake(moment() - datetime.timedelta(seconds=ago)) + next(_counter))


def now() -> str:
    return moment().isoformat()


def user(user_id: int) -> Json:
    name = NAMES.get(user_id, f"member-{user_id % 10_000}")
    return {
        "id": str(user_id),
        "username": name,
        "global_name": name,
        "discriminator": "0",
        "avatar": None,
        "bot": user_id == BOT,
        "public_flags": 0,
        "flags": 0,
        "verified": True,
        "mfa_enabled": False,
    }


def member(user_id: int, *, with_user: bool = True) -> Json:
    data: Json = {"roles": [], "nick": None, "joined_at": now(), "deaf": False, "mute": False, "flags": 0, "avatar": None}
    return {**data, "user": user(user_id)} if with_user else data


def application() -> Json:
    return {
        "id": str(BOT),
        "name": "Forward Pass",
        "description": "",
        "icon": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "owner": user(ALICE),
        "verify_key": "00",
        "flags": 0,
    }


def channel() -> Json:
    return {
        "id": str(CHANNEL),
        "type": 0,
        "guild_id": str(GUILD),
        "name": "general",
        "position": 0,
        "permission_overwrites": [],
        "parent_id": None,
        "topic": None,
        "rate_limit_per_user": 0,
        "last_message_id": None,
    }


def dm(user_id: int) -> Json:
    return {"id": str(DM), "type": 1, "last_message_id": None, "recipients": [user(user_id)]}


def guild() -> Json:
    """As in GUILD_CREATE. Everybody may do what the invite link asks for, and no more."""
    everyone = {
        "id": str(GUILD),
        "name": "@everyone",
        "permissions": str(PERMISSIONS.value),
        "position": 0,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "managed": False,
        "mentionable": False,
        "flags": 0,
    }
    return {
        "id": str(GUILD),
        "name": "Zoo",
        "owner_id": str(ALICE),
        "icon": None,
        "unavailable": False,
        "preferred_locale": "en-US",
        "roles": [everyone],
        "member_count": 3,
        "joined_at": now(),
        "large": False,
        "members": [member(BOT)],
        "channels": [channel()],
        **dict.fromkeys(("afk_timeout", "verification_level", "default_message_notifications", "explicit_content_filter"), 0),
        **dict.fromkeys(("mfa_level", "premium_tier", "nsfw_level", "system_channel_flags"), 0),
        **{name: [] for name in ("features", "emojis", "stickers", "threads", "presences", "voice_states")},
        **{name: [] for name in ("stage_instances", "guild_scheduled_events", "soundboard_sounds")},
    }


def message(author: int, content: str, channel_id: str, **more: Any) -> Json:
    return {
        "id": snowflake(),
        "channel_id": channel_id,
        "guild_id": str(GUILD),
        "author": user(author),
        "member": member(author, with_user=False),
        "content": content,
        "timestamp": now(),
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [user(BOT)] if MENTION in content else [],
        "type": 0,
        "flags": 0,
        "pinned": False,
        **{name: [] for name in ("mention_roles", "attachments", "embeds", "components", "reactions")},
        **more,
    }


def thread(message_id: str, name: str) -> Json:
    metadata = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": now(), "locked": False}
    return {
        "id": message_id,
        "type": 11,
        "guild_id": str(GUILD),
        "parent_id": str(CHANNEL),
        "owner_id": str(BOT),
        "name": name,
        "last_message_id": None,
        "message_count": 0,
        "member_count": 1,
        "rate_limit_per_user": 0,
        "thread_metadata": metadata,
    }


def slash(name: str, author: int, **options: Any) -> Json:
    """An INTERACTION_CREATE of a slash command with options."""
    given = [{"name": key, "type": _option_type(value), "value": value} for key, value in options.items()]
    return _interaction(2, author, {"id": "400000000000000001", "name": name, "type": 1, "options": given})


def menu(name: str, message: Json, author: int) -> Json:
    """The same of an entry of a message's menu."""
    resolved = {"messages": {message["id"]: message}}
    data = {"id": "400000000000000002", "name": name, "type": 3, "target_id": message["id"], "resolved": resolved}
    return _interaction(2, author, data, channel_id=message["channel_id"])


def press(message: Json, custom_id: str, author: int, *values: str) -> Json:
    """The same of a button, or of a select when there are values."""
    data = {"custom_id": custom_id, "component_type": 3 if values else 2, "id": 1, **({"values": list(values)} if values else {})}
    return {**_interaction(3, author, data, channel_id=message["channel_id"]), "message": message}


def _option_type(value: Any) -> int:
    return 5 if isinstance(value, bool) else 4 if isinstance(value, int) else 3


def _interaction(kind: int, author: int, data: Json, *, channel_id: str = str(CHANNEL)) -> Json:
    return {
        "id": snowflake(),
        "application_id": str(BOT),
        "type": kind,
        "token": f"interaction-{next(_counter)}",
        "version": 1,
        "data": data,
        "channel_id": channel_id,
        "channel": channel() if channel_id == str(CHANNEL) else thread(channel_id, "💭"),
        "guild_id": str(GUILD),
        "guild": {"id": str(GUILD), "locale": "en-US", "features": []},
        "member": {**member(author), "permissions": str(PERMISSIONS.value)},
        "app_permissions": str(PERMISSIONS.value),
        "locale": "en-US",
        "guild_locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {},
        "context": 0,
        "attachment_size_limit": 10 * 1024 * 1024,
    }
