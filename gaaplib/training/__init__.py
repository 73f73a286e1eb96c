"""From images in memory to trained weights."""
