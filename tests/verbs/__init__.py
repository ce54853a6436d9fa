"""Verbs on real media: the real gateway, telephones by SIP and RTP, browsers' legs by WebRTC."""
