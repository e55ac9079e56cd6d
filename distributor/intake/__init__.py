"""Raw material as people send it -> plain values and findings. Bad input is never an exception.

Only material that cannot be read at all raises, with :class:`distributor.errors.InputError`.
"""
