"""Dependencies: imports become pinned distributions and wheels."""
