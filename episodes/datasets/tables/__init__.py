"""Tables of images and labels: Parquet, Arrow, CSV and JSON files."""
