"""Looks into an answer beyond the lens: attribution, attention, watched words, template pull, causal checks, self-report."""
