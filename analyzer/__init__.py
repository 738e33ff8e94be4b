"""The analysis daemon: follows held targets and promotes or refuses their candidates."""
