"""Labels: how released ones are drawn and kept, and the loss that corrects for the drawing."""
