"""The surgeon: propose, gate, operate, judge, settle, tell; and begin again."""
