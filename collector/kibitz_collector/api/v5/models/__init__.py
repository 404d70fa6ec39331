"""Bodies of the v5 contract, one file per group; every required field is always there."""
