"""A Bitcoin node as far as a mempool needs one: transactions, blocks, a chain that may reorganise."""
