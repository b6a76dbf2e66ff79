"""The algorithm and the protocol of Gradient Assisted Learning, without sockets or clocks."""

__version__ = "0.3.0"
