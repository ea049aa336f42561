"""Every word of the inner voice holds: real answers are told, and each fact is recomputed by `tests.independent`."""
