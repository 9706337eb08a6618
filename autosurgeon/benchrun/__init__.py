"""`bench run`: benches a folder, a pack or a server outside the loop, in modes A, B and C."""
