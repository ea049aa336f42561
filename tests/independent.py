"""Every fact of the inner voice, recomputed from an untouched model: plain forwards, plain loops, nothing of the code under test."""
