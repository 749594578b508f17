"""The lab: real, tiny Linux guests in QEMU, with a witness inside each that says what it felt."""
