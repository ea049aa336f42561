"""From a loaded model to a learned lens and its table."""
