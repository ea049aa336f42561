"""From a config to weights on a device, and what a model would need before that."""
