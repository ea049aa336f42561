"""One engine, one device thread."""
