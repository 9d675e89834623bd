"""Work on other processes and machines, by Dask: who does what, and what is done when they die.

The run stays with the client: inputs, records, failures, progress. Workers get orders, which are
plain values, write to the shared folders as a run on one machine does, and return receipts.
"""
