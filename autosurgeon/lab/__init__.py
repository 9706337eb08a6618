"""The embedded world: tasks, benches, a dispatcher that leaks, and the base model's recipe. Works offline."""
