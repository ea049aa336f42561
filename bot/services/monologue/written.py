"""The monologue that the model writes itself from verified facts; every sentence that says more than its facts is dropped.

Knows no torch and no Discord: it turns told lines into a Job, and the answer to that job into lines.
"""
