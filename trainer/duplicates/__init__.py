"""Finds near-duplicate images within a data set and between two.

Hashes and features find candidates, a comparison of the aligned pixels decides.
"""
