"""What runs in the environments of other systems: files that import nothing of ours, written from public documentation.

`ckks_column.py` is the exception: it runs in our own.
"""
