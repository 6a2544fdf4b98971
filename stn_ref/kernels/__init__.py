"""Inner loops, in pixel coordinates; they import nothing above them."""
