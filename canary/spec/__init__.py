"""From what people write, in a Canary, an environment or a command, to values that are valid."""
