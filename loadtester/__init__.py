"""The load tester: runs the commands that hooks name, from a short list of programs."""
