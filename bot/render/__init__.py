"""Pictures and text made from a trace. Knows nothing of Discord, torch or storage."""
