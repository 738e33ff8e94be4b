"""Gathers the evidence of all runs beside the reconciles."""
