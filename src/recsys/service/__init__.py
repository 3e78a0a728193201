"""HTTP: Litestar for the documented API, raw ASGI for the hot paths; authentication, problems and metrics for both."""
