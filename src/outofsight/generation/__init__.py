"""``outofsight generate`` as a library: what is asked for, making it, and the record of how it was made."""
