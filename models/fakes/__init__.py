"""A scripted engine for tests and demos. Loads no torch."""
