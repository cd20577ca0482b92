"""The queue: what the database lacks is what is left to do."""
