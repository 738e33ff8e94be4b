"""One file per kind of route; none knows another."""
