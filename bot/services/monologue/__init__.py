"""The inner monologue: a trace in, told and verified lines out. Knows no Discord and no torch.

`stating` says what a fact is, `facts` and `evidence` what may be stated, `shown` and `tongues` how a value is written, `phrases`
the tables of words, `headline` what is told to whoever reads no more, `plot` what is told in which order (`climb`, `beside` and
`ledger` tell its longer parts), `verifier` the judge who recomputes it all.
"""

from bot.services.monologue.facts import Fact, Line, Where
from bot.services.monologue.headline import finding, headline, picture_title
from bot.services.monologue.plot import tell
from bot.services.monologue.stating import phrases_of
from bot.services.monologue.tongues import tongue_of
from bot.services.monologue.verifier import if_true, is_true, verify

__all__ = [
    "Fact",
    "Line",
    "Where",
    "finding",
    "headline",
    "if_true",
    "is_true",
    "phrases_of",
    "picture_title",
    "tell",
    "tongue_of",
    "verify",
]
