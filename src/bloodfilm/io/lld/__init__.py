"""The Large Leukemia Dataset on disk, as it was downloaded."""
