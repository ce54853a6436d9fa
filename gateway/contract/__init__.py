"""The contract of the HTTP API: the pydantic models that requests are validated by and answers are
made of. The API and its client speak in them.

They know neither of the two, no call and no database; what they share with those is in
gateway.terms and the other modules of plain values. Handlers make answers of what they have. Made
elsewhere, of what they must follow, are `Step` (gateway.api.steps, of the verbs) and `Event`
(gateway.storage.event_schema, of the events).
"""
