"""Real footage, for training and measuring alike; here it is settled which of it training never sees."""
