"""Whether the session stands: what began or ended while it was lost, or had it lost in between, was cut off."""

from __future__ import annotations

from bot.ui.back import Back


def test_what_ends_while_it_is_lost_was_cut_off() -> None:
    back = Back()
    since = back.turns
    back.ring()  # READY, then RESUMED: nothing was lost
    assert not back.was_away(since)
    back.lost()
    assert back.was_away(since)
    back.ring()
    assert back.was_away(since)


def test_what_began_while_it_was_lost_was_cut_off_also_when_it_is_back() -> None:
    back = Back()
    back.lost()
    since = back.turns
    back.ring()
    assert back.was_away(since)
    assert not back.was_away(back.turns)
