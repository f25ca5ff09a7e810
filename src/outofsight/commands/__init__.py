"""The commands of the command line, one file each; nothing heavy is imported until one of them runs."""
