"""The ledger: a record of every retraining, in memory and on disk."""
