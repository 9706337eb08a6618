"""What a pass is compared with: base, live pack, counted benches, anchors."""
