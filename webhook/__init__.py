"""The admission process: answers reviews, and reaches no cluster."""
