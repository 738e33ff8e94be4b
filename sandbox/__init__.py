"""A single-node Kubernetes with real containers, for the demo and the tests."""
