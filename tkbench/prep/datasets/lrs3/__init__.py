"""LRS3 (Afouras et al., 2018): sentences of TED talks."""
