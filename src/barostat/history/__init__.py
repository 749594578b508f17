"""What happened: every second of late, in less and less detail before that. It never makes anybody wait."""
