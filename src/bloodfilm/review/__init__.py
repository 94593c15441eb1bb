"""Looking through cells: review states, edits that can be undone, and the journal that outlives a crash."""
