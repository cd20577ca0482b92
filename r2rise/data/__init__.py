"""Demonstrations: arrays, segments, files."""
