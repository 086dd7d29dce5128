"""Commands: what buildr and %containerize do beside building."""
