"""What is done to one image, by options, each a `Recipe`; no paths of results, no batches."""
