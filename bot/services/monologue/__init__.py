"""The inner monologue: a trace in, told and verified lines out. Knows no Discord and no torch.

`facts` is what may be stated, `shown` how a value is written, `phrases` the tables of words, `plot` what is told in which order,
`verifier` the judge who recomputes it all.
"""

from bot.services.monologue.facts import Fact, Line, Where
from bot.services.monologue.plot import tell
from bot.services.monologue.verifier import is_true, verify

__all__ = ["Fact", "Line", "Where", "is_true", "tell", "verify"]
