"""What is saved: versioned JSON."""
