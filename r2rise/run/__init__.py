"""Retraining: filling in a study, carrying out its tasks, keeping the ledger."""
