"""What becomes of packs: promotion, the deployed runtime, integrity, retention."""
