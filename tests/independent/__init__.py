"""Every fact of the inner voice, recomputed from an untouched model by plain loops; nothing of the code under test.

A `World` is what is true of one answer: arrays by place, a name for each token id, and evidence on demand. `tests.untouched`
fills it from transformers' own forward passes over unchanged
weights; `of_trace` from the arrays of a trace, for the mutation check.
`RECOMPUTE` holds, for every fact's name, its definition written anew after docs/LENS.md. Knows no monologue, lens or probe.

Three things are taken from the trace and said so here: the numbers of random controls, which nobody can redraw without the code;
the name of a token that is only a piece of a character; and, for the agreement of samples, their count and grouping.
"""

from tests.independent.evidence import Followed, Ledger, Looked, Pulled, Removed
from tests.independent.facts import RECOMPUTE, agrees, recompute
from tests.independent.told import of_trace
from tests.independent.world import SLACK, World, says

__all__ = [
    "RECOMPUTE",
    "SLACK",
    "Followed",
    "Ledger",
    "Looked",
    "Pulled",
    "Removed",
    "World",
    "agrees",
    "of_trace",
    "recompute",
    "says",
]
