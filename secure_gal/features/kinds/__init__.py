"""The kinds of feature maps, a file each; the file of that name declares it (`secure_gal.features.declare`)."""
