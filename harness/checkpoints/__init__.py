"""Weight files on disk: what their headers say, whether they are whole, and digests. Without torch."""
