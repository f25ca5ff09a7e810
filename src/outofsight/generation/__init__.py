"""What the pipeline and the command line stand on: coding video and text, checking inputs, files, run records."""
