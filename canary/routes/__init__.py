"""Routes as values: what a split makes of them, and what they were before."""
