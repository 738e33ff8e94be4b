"""The reconcile loop: changes, queue, observe, decide, act."""
