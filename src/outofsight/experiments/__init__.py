"""Experiments: loaded by the module path in a model's config; nothing of the library imports them by name."""
