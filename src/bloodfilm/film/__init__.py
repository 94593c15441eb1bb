"""Cells of many fields to what a person reads: differential count, morphology bank, quality, report."""
