"""Experimental design: masks, seeds and tasks."""
