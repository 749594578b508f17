"""What a host and its guests must have for Dynamic Memory, looked at one by one."""
