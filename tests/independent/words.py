"""The words of an answer and its close rivals, by plain loops over a `World`."""

from __future__ import annotations

from tests.independent.world import World, plain


def spelled(w: World) -> list[list[tuple[str, int]]]:
    """Each word as its characters, each with the token that it comes from."""
    text = [(char, t) for t, word in enumerate(w.words) for char in word]
    found: list[list[tuple[str, int]]] = []
    i = 0
    while i < len(text):
        if not text[i][0].isalnum():
            i += 1
            continue
        begin = i
        while i < len(text) and (text[i][0].isalnum() or _holds(text, i)):
            i += 1
        found += _apart(text[begin:i])
    return found


def _holds(text: list[tuple[str, int]], i: int) -> bool:
    """Whether a mark stands inside of a word: it's, well-known, 3.5."""
    if i + 1 >= len(text) or not text[i + 1][0].isalnum() or not text[i - 1][0].isalnum():
        return False
    before, mark, after = text[i - 1][0], text[i][0], text[i + 1][0]
    return mark in "'’-" or (mark in ".," and before.isdecimal() and after.isdecimal())


def _apart(chars: list[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    """Chinese and its neighbours put no blanks between words, so that there each token counts."""
    if all(char < "\u2e80" for char, _ in chars):
        return [chars]
    found = [[pair for pair in chars if pair[1] == t] for t in sorted({t for _, t in chars})]
    return [piece for piece in found if any(char.isalnum() for char, _ in piece)]


def word_at(w: World, t: int) -> tuple[int, str, int] | None:
    """Its place among the words from 1, its text, and the token that it begins in."""
    if w.control[t]:
        return None
    at = next((i for i, char in enumerate(w.words[t]) if char.isalnum()), None)
    if at is None:
        return None
    for number, word in enumerate(spelled(w), 1):
        own = [i for i, (_, token) in enumerate(word) if token == t]
        if own and word[own[0]][0] == w.words[t][at] and _first_alnum(word, t):
            return number, "".join(char for char, _ in word), word[0][1]
    return None


def _first_alnum(word: list[tuple[str, int]], t: int) -> bool:
    return any(char.isalnum() and token == t for char, token in word)


def whole(w: World, t: int) -> bool | None:
    word = word_at(w, t)
    return None if word is None else w.reads(t).strip() == word[1]


def enough(w: World, t: int) -> float:
    return max(0.05, w.p[t][-1] / 4)


def close(w: World, t: int) -> list[int]:
    word = word_at(w, t)
    if word is None or word[2] != t:
        return []
    names, found = [plain(w.reads(t))], []
    for token, p in zip(w.top[t][-1], w.top_p[t][-1], strict=True):
        text = w.name(token)
        if (
            p >= enough(w, t)
            and plain(text).isalnum()
            and text[:1].isspace() == w.reads(t)[:1].isspace()
            and plain(text) not in names
        ):
            names.append(plain(text))
            found.append(token)
    return found[:2]


def none_close(w: World, t: int) -> bool:
    pairs = zip(w.top[t][-1], w.top_p[t][-1], strict=True)
    return all(p < enough(w, t) for token, p in pairs if plain(w.name(token)) != plain(w.reads(t)))
