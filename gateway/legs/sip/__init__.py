"""The SIP leg: everything that speaks SIP, and the only importer of pjsua2.

`gateway.legs.sip.plane.SipPlane` is the way in.
"""
