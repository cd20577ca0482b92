"""The queue: the work left to do is what the database lacks of the live jobs."""
