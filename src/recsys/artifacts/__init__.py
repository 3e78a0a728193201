"""The formats of artifacts: immutable files that each hold one signal of a surface. Pure: bytes in, arrays out."""
