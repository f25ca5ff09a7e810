"""The engine: scenes and bodies of any content planned, rendered and annotated."""
