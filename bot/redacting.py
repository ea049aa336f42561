"""What must not stand in an error, in the log or in a terminal: tokens, and passwords in URLs. Knows no setting."""

from __future__ import annotations

import re

HIDDEN = "(hidden)"

TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{5,8}\.[\w-]{25,}", re.ASCII)
"""A bot token of Discord."""
_OTHERS = re.compile(r"\bhf_\w{20,}", re.ASCII)
_LOGIN = re.compile(r"://\S*@")  # up to the last @: a password may hold one, and a slash
_PARAMETER = re.compile(r"(?i)([?&;\s]\w*(?:passw(?:or)?d|passphrase|pwd|secret)=)[^\s&;'\"`]+")


def clean(text: str) -> str:
    """``text`` without tokens, and without the user names and passwords of URLs."""
    text = _OTHERS.sub(HIDDEN, TOKEN.sub(HIDDEN, text))
    return _PARAMETER.sub(rf"\1{HIDDEN}", _LOGIN.sub(f"://{HIDDEN}@", text))
