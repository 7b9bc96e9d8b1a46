"""Nasty values in every dialect, read back by readers that no one here wrote: `make nasty`."""
