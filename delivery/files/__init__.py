"""Rows to proven bytes: format, compression, encryption, parts, proof, manifest, layout, spool."""
