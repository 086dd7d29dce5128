"""Configuration: options and settings as typed values, each with its origin."""
