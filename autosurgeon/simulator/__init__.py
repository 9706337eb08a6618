"""The loop without a model: capsules by a known law, or fed by what a real loop measured; all else is the product."""
