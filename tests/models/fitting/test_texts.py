"""Text to fit a lens on."""

from models.fitting import texts


def test_splits_share_no_text():
    pieces = [texts.Text(tuple(range(i, i + 20)), 1) for i in range(30)]
    parts = texts.split(pieces, 0, held_out=50)
    assert sorted(t.ids[0] for part in parts for t in part) == list(range(30))
