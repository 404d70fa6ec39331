"""The commands of `kibitz` that need the SDK only, one file each."""
