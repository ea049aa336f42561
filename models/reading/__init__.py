"""The second pass: what every layer believed about the tokens of an answer."""
