"""What to do with a release: pure rules over frozen values, no clock and no I/O."""
