"""The crash campaign: conversations while things are killed, and what must be true afterwards."""
