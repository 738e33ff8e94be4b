"""The demo's application: an HTTP server whose faults are known exactly."""
