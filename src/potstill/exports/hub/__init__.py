"""Distillates on the Hugging Face Hub: the folder that is published, its card, its metadata, and the upload."""
