"""Speed: programs that compute the same thing, timed alternately by one harness."""
