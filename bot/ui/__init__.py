"""Building blocks on Discord's side: replies, threads and persistent controls."""
