"""oci: images made without an engine, their bases and where they go."""
