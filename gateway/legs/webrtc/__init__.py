"""The browser's side of a call: SDP, ICE, DTLS and the data channel through aiortc.

Media never passes through here: keys and sockets go to the media plane (see `plane.WebRtcMedia`).
"""
