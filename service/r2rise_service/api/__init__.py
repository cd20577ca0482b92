"""The REST API: checks HTTP requests and hands them to the store and the reconciler."""
