"""The page with all results, and its figures."""
