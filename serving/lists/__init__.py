"""Lists that leave the house: how a cell, a file and a tool's import format are written."""
