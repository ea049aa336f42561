"""The answer pass: from a question to tokens."""
