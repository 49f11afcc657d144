"""Speed: programs that compute the same result, timed alternately by one harness."""
