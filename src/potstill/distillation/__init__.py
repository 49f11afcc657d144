"""The outer loop: from a dataset and a teacher to synthetic pairs."""
