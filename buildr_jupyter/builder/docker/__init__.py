"""Docker Engine: its API, its classic builder and its BuildKit."""
