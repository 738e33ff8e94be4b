"""The command `kubectl headgate`: why a run was judged as it was, and how a past one would be."""
