"""From raw counters, as they are read, to what each pod has counted in a window."""
