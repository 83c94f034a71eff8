"""Training a network that tells speakers apart."""
