"""Files that people write: read whole, checked whole, every fault named with its place."""
