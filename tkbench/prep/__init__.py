"""Preparation: data sets become standardized shards; `prep.synth` makes a data set of its own."""
