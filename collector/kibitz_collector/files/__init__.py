"""Pure rules of Files: what makes a Version, how contents are read."""
