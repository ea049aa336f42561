"""No message pings anybody but the one that it replies to, whatever the code that sends it forgot. Knows request bodies alone.

discord.py fills in what the client allows, but not for a message that came by an interaction's token, nor for what comes of it.
Left out, ``allowed_mentions`` means that everybody is pinged whom a text happens to name; text in Components V2 pings, too.
https://docs.discord.com/developers/resources/message#allowed-mentions-object
"""

from __future__ import annotations

import json
from typing import Any

_WORDS = ("content", "embeds", "components")
_CALLBACKS = (4, 7)
"""Interaction callbacks that hold a message: a new one, and an edit of the one that was pressed."""
_FORM = "payload_json"


def guarded(body: Any) -> Any:
    """The body of a request; one that says something allows no ping but that of a reply."""
    if not isinstance(body, dict):
        return body
    if body.get("type") in _CALLBACKS and isinstance(body.get("data"), dict):
        return {**body, "data": _message(body["data"])}
    return _message(body) if "type" not in body else body


def guarded_form(parts: Any) -> Any:
    """The same for a request with files, whose body is a part of a form."""
    if not isinstance(parts, list):
        return parts
    return [
        {**part, "value": json.dumps(guarded(json.loads(part["value"])))} if part.get("name") == _FORM else part for part in parts
    ]


def _message(body: dict[str, Any]) -> dict[str, Any]:
    if all(body.get(key) is None for key in _WORDS):
        return body
    allowed = body.get("allowed_mentions") or {}
    replied = {"replied_user": True} if allowed.get("replied_user") else {}
    return {**body, "allowed_mentions": {"parse": [], **replied}}
