"""The commands of `kibitz` that need the collector, one file each."""
