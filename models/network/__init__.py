"""A loaded network: where its parts lie, hooks on its residual stream, its weights laid out, and the likeliest of many logits."""
