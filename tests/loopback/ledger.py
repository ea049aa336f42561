"""Counts what became of injected faults, by kind. Knows neither Discord nor the bot."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

COLUMNS = ("injected", "lost", "doubled", "left open")


class Ledger:
    """One for a test session."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = defaultdict(lambda: [0] * len(COLUMNS))

    def note(self, kind: str, injected: int, *, lost: int, doubled: int, opened: int) -> None:
        row = self._rows[kind]
        for index, count in enumerate((injected, lost, doubled, opened)):
            row[index] += count

    def table(self) -> Iterator[str]:
        """In Markdown; nothing when nothing was injected."""
        if not self._rows:
            return
        yield "| fault | " + " | ".join(COLUMNS) + " |"
        yield "|---|" + "---:|" * len(COLUMNS)
        for kind, row in self._rows.items():
            yield f"| {kind} | " + " | ".join(map(str, row)) + " |"
        total = [sum(column) for column in zip(*self._rows.values(), strict=True)]
        yield "| all | " + " | ".join(map(str, total)) + " |"
