"""Planted faults: statements are taken out of exported programs, and the proof has to notice."""
