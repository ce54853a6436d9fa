// What the page says: states, connections and verdicts in words.

export const STATE_WORDS = {
  idle: "Ready",
  connecting: "Connecting",
  ringing: "Ringing",
  early: "Early audio",
  answered: "In call",
  held: "On hold",
  ended: "Call ended",
};

export const CONNECTION_WORDS = {
  connecting: "Connecting",
  open: "Connected",
  lost: "No connection to the gateway, trying again",
};

const VERDICTS = {
  not_found: (to) => `“${to}” is not known here: no rule of the dialplan matches it.`,
  unavailable: (to) => `“${to}” is not signed in.`,
  forbidden: () => "You may not call there.",
  anonymous_refused: () => "Callers who hide their number are not accepted there.",
  loop_detected: () => "The dialplan sends this call round in a circle.",
  busy: () => "Busy.",
  declined: () => "The call was declined.",
  no_answer: () => "Nobody answered.",
  cancelled: () => "The caller hung up.",
  no_common_codec: () => "The two sides have no audio codec in common.",
  peer_unreachable: () => "The telephone side could not be reached.",
  peer_refused: () => "The telephone side refused the call.",
  fetch_failed: () => "A web server that this call needs did not give what was asked of it.",
  setup_timeout: () => "The audio connection could not be set up in time.",
  media_lost: () => "The audio connection was lost.",
  media_failed: () => "The gateway's media plane failed; the call ended.",
  internal: () => "The gateway failed in this call.",
  shutting_down: () => "The gateway is shutting down.",
  overloaded: () => "The gateway has too much to do now.",
  not_negotiated: () => "The other side does not take this.",
  signed_out: () => "You were signed out.",
  unauthorized: () => "You have to sign in again: your token is missing, wrong or has expired.",
  caller_busy: () => "You have as many calls as you may.",
  calling_too_fast: () => "You call too often: wait a moment.",
  minutes_used_up: () => "Your minutes of today are used up.",
  interrupted: () => "The gateway stopped in the middle of this call.",
  database_failed: () => "The gateway's database failed.",
  too_many_calls: () => "The gateway has too many calls now.",
};

// The words above say all that the gateway's own text for these says.
const PLAIN = new Set(["not_found", "unavailable", "forbidden", "busy", "declined", "no_answer", "cancelled"]);

/** A verdict as a sentence, with the SIP status and the particulars behind it. */
export function callWords(reason, to = "") {
  const words = VERDICTS[reason.code]?.(to);
  return words === undefined ? reason.text : `${words} (${particulars(reason)})`;
}

function particulars({ code, text, sip_status: status }) {
  if (!status || text.includes(String(status))) return text; // a trunk's response names its status
  return PLAIN.has(code) ? `SIP ${status}` : `SIP ${status}: ${text}`;
}
