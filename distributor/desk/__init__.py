"""What a person may order: every order with who gave it and when, in the audit beside its effect.

Invariant: an order is carried out whole or refused with its reason and its remedy.
"""
