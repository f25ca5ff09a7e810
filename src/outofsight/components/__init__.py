"""The parts of a pipeline beside its transformer: where they are found, how video and text pass through them."""
