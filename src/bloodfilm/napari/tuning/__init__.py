"""The parts of the panel for fine-tuning."""
