"""Inputs drawn by the grammars of recipes and their files, run through datakit, and what went wrong.

`draw_*` modules draw an input as a tree of plain values, which can be kept, replayed and made smaller.
`run_*` modules write the tree into an empty project and take it as far as datakit goes.
"""
