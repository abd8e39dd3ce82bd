"""What may be offered to whom: rules of the shop, guards, and the choice among candidates."""
