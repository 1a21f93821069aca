"""Records -> tables and figures; reads JSON, never imports torch."""
