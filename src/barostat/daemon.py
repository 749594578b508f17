"""The composition root: the only file where everything meets."""
