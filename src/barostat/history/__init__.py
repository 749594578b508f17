"""What happened: all of it of late, in less and less detail before that."""
