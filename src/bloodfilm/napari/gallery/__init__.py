"""The parts of the Cells panel: what is shown in which order and colour, and the widgets that show it."""
