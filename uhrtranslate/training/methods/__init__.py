"""How generators learn: one file per method, with its options; `TRAINING_METHODS` names them."""
