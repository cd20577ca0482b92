"""Which frames masks keep, and where every random number comes from."""
