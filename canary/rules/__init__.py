"""The rules of a run: what follows from a state and the world, and nothing of how it is done."""
