"""Figures: one file for each, all drawn and saved the same way."""
