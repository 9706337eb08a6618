"""The command line: nouns and verbs, tables for people, `--json` for programs. Heavy imports wait for their command."""
