"""R2RISE's command line."""
