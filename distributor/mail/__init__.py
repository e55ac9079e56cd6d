"""Bytes and the wire: what a mail is made of, and how it leaves."""
