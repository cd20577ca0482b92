"""Statistics of masks and returns: estimates, their errors, and the conclusions from them."""
