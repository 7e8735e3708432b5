"""The pure heart: what may be asked, what is decided, what should be open.

Values in, values out. No clock, no randomness, no I/O, no logging, no framework: the
current time and fresh identifiers are arguments. Import contracts hold this.
"""
