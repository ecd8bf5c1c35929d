"""The feeder for machines: health, metrics and a read-only API over HTTP, on a thread of its own."""
