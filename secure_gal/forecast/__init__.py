"""What a study will cost, before it begins: bytes from the messages' formats, seconds from a calibration."""
