"""Questions carried out beside the reconciles: hooks and metrics, with places per namespace."""
