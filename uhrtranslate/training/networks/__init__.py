"""Networks that are needed for training alone; generators to be shipped are in `models`."""
