"""What is done to one image, each way a `Recipe`; outputs and batches are not known here."""
