"""LRW (Chung & Zisserman, ACCV 2016): words of broadcast television."""
