"""The daemon: everything meets here, and nothing of it is known below."""
