"""Readers and writers of demonstrations files."""
