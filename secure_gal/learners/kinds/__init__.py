"""The kinds of learners, a file each; the file of that name declares it (`secure_gal.learners.declare`)."""
