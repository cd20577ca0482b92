"""The queue: what the database lacks of a live job is what is left to do."""
