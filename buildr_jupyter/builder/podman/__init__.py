"""podman: its service."""
