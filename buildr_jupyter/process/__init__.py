"""Processes: children with a watchdog, locks, temporary and confined files."""
