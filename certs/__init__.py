"""Certificates of the webhook: made, put into the cluster, renewed, and followed by the server."""
