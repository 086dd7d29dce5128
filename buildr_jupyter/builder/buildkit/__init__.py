"""BuildKit: buildctl, its session and its progress."""
