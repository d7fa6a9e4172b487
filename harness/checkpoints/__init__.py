"""Weight files for models, metrics and axes: headers, digests, the Hugging Face Hub. No torch."""
