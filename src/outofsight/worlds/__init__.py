"""Procedural clips in which subjects leave and re-enter, with exact annotations."""
