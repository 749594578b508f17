"""The integration component: what runs inside a guest, and the host's end of its channel."""
