"""The trade's rules, pure: values in, values out.

Invariant: nothing here reads a clock, a file, a socket, a database or the configuration.
"""
