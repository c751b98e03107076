"""LRS2 (Afouras et al., TPAMI 2018): sentences of BBC television."""
