"""The model side: loading, answering and reading the forward pass. Knows nothing of Discord or of the bot."""
