"""Tests of the SIP leg against SIPp, and of the gateway calling itself."""
