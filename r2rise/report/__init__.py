"""The report page with all results, and its figures."""
