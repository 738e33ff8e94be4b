"""From a run's queries and pages to what the judge weighs."""
