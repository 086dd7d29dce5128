"""Builders in a cluster: where their pods are, how far these are, and by which names they reach registries."""
