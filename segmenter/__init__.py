"""The engine: recordings and regions in, segments out. It knows nothing of the web or of any server."""
