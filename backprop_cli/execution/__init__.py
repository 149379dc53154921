"""How programs run fast: rewriting, plans and their memory, fast kernels, tiling, compiled steps, recomputation."""
