"""The REST API: what is asked over HTTP, checked, and handed to store and reconciler."""
