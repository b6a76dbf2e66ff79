"""Tables and arrays as people have them: reading, checking, encoding, and the alignment of rows."""
