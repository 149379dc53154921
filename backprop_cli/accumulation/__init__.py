"""How Jacobians are multiplied out: structures, costs, orders, and many directions at once.

The path of a program:

- ``op_jacobians``: for each op, which elements of its operands an element of its result reads;
- ``local_jacobian``: such a structure, and the arithmetic of sparsity patterns;
- ``jacobian_graph``: a program as a graph of local Jacobians, and its elimination block by block;
- ``orders``: searches for cheap elimination orders; ``chain_order``: the best order of a chain;
- ``jacobian_map``: Jacobians as maps, multiplied out only if that pays;
- ``jacobians``: the entry point, costs and Jacobians of a program;
- ``vectorize``: a program for a batch of tangents, cotangents or examples; ``batched`` runs it;
- ``lanczos``: leading eigenvalues of a matrix known by its products.

Reference models on graphs given as numbers, for comparison and study: ``elimination`` (vertices), ``edge_elimination``,
``bracketing`` (chains).
"""
