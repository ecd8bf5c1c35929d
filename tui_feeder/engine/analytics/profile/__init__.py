"""Volume profiles of a UTC day."""
