"""The study: the question, its parts, validation and hashing."""
