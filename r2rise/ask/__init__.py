"""The analyses of demonstrations: one file for each function and command."""
