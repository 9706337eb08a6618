"""The embedded lab: tasks, benches, a leaking dispatcher, and the recipe of the base model; works offline."""
