"""What is read from and written to the API server's objects."""
