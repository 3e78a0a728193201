"""Pure computation: signal arrays in, ranked items out. numpy only; no clock, environment, I/O, log or chance."""
