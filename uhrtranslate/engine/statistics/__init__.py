"""Tables of statistics of norm layers, and the fields made from them; no generators, no pixels."""
