"""Class folders, in a folder or in a ZIP file."""
