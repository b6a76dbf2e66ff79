"""The protocol without sockets and clocks: message in, effects out (docs/PROTOCOL.md)."""
