"""One module per provider library: endpoints and pure readers, on top of `kibitz.patching`."""
