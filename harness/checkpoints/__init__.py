"""Weight files: headers, digests, the Hugging Face Hub. A library for models, metrics and axes; no torch."""
