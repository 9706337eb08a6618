"""The judge: schema, facts, rules and loading of policies. Pure but for load.py."""
