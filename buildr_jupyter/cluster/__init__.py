"""Cluster: a client of a Kubernetes API server, for what runs and builds there."""
