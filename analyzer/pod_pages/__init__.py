"""Raw counters from the pods' own pages of metrics."""
