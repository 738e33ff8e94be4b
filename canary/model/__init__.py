"""The values that the rules work on. All are frozen; what is absent has a value of its own."""
