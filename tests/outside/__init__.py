"""A memory, a conditioner, a reader, a metric and a guidance as somebody else would write them: one file each."""
