"""Speed: programs that compute the same thing, timed in turn by one harness."""
