"""What we serve: the alert websocket and the status endpoints."""
