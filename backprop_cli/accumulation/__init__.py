"""How Jacobians are multiplied out: local Jacobians, costs, orders and bounds, batches of directions."""
