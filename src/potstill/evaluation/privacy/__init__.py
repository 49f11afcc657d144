"""What pairs reveal about the episodes that they were distilled from: distances, membership inference, canaries."""
