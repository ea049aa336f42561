"""What the bot does, told without Discord and without torch."""
