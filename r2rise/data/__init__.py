"""Demonstrations: arrays, segments and files."""
