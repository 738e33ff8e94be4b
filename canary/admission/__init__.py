"""What each write to a target or a route means."""
