"""The loop without a model: capsules simulate a learner or replay a recorded loop; the rest is the product."""
