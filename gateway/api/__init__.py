"""The HTTP face of the gateway: signalling WebSocket, WHIP-shaped endpoint, health."""
