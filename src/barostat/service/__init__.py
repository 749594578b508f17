"""The daemon's HTTP API on a UNIX socket, and the values that it speaks in."""
