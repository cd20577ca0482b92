"""From masks and returns to numbers, their errors, and what can be said of them."""
