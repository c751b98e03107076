"""What is made of scores: bundles of one model, tables of many, intervals and paired tests."""
