// The page: joins the phone with what is seen and pressed.

import { makeDialpad } from "./dialpad.js";
import { LevelMeter } from "./meter.js";
import { MicrophoneError, Phone } from "./phone.js";
import { SignalError, Signalling } from "./signalling.js";
import { callWords, CONNECTION_WORDS, STATE_WORDS } from "./words.js";

const NAME_KEY = "gateway-phone-user";
const TOKEN_KEY = "gateway-phone-token";
const KEPT_DIGITS = 100; // items of each list

const $ = (id) => document.getElementById(id);
const signalling = new Signalling();
const phone = new Phone(signalling);
const meter = new LevelMeter($("mic-level"));
const ringing = new Map(); // call id -> caller
const toneChanges = []; // {tone, time}; time in ms of performance.now()
let answeredAt = 0;
let clock = 0;

// ---- errors ---------------------------------------------------------------------------------

function showError(words) {
  $("error").textContent = words;
  $("error").hidden = words === "";
}

function explain(error, to = "") {
  if (error instanceof MicrophoneError) return error.message;
  if (error instanceof SignalError) return callWords(error.reason ?? { code: error.code, text: error.message }, to);
  return `The call failed: ${error.message}`;
}

async function attempt(work, to = "") {
  showError("");
  try {
    await work();
  } catch (error) {
    showError(explain(error, to));
    showState(phone.state);
  }
}

// ---- what the call is doing -----------------------------------------------------------------

function showState(state, { reason = null, media = "" } = {}) {
  $("state").dataset.state = state;
  $("state").textContent = STATE_WORDS[state];
  $("state-detail").textContent = state === "ended" && reason?.code === "normal" ? reason.text : "";
  if (media) $("path").textContent = media;
  const { active } = phone;
  const talking = active && state !== "connecting";
  $("call").disabled = active;
  $("hangup").disabled = !active;
  $("hold").disabled = !(talking && ["answered", "held"].includes(state));
  document.body.dataset.call = active ? "active" : "none";
  if (state === "answered" || state === "held") startClock();
  if (!active) stopClock();
}

function startClock() {
  if (answeredAt) return;
  answeredAt = performance.now();
  const tick = async () => {
    const seconds = Math.floor((performance.now() - answeredAt) / 1000);
    $("duration").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    const codec = await phone.codec();
    if (codec) $("codec").textContent = codec;
  };
  clock = setInterval(tick, 1000);
  tick();
}

function stopClock() {
  clearInterval(clock);
  answeredAt = 0;
}

function clearCall() {
  for (const id of ["path", "codec"]) $(id).textContent = "–";
  $("duration").textContent = "";
  $("digits-sent").replaceChildren();
  $("digits-received").replaceChildren();
  toneChanges.length = 0;
}

phone.addEventListener("state", ({ detail }) => {
  if (detail.state === "connecting") clearCall();
  if (detail.state === "ended" && detail.reason && detail.reason.code !== "normal") {
    showError(callWords(detail.reason, $("to").value));
  }
  showState(detail.state, detail);
});
phone.addEventListener("microphone", ({ detail }) => meter.watch(detail));
phone.addEventListener("trouble", ({ detail }) => showError(detail));
phone.addEventListener("audio", ({ detail }) => {
  $("remote-audio").srcObject = detail;
});
phone.addEventListener("hold", ({ detail }) => {
  $("hold").setAttribute("aria-pressed", String(detail));
  $("hold").textContent = detail ? "Resume" : "Hold";
});

// ---- digits ---------------------------------------------------------------------------------

function addDigit(list, digit, facts) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { digit, ...facts });
  const name = document.createElement("b");
  name.textContent = digit;
  item.append(name, document.createElement("small"));
  list.append(item);
  while (list.children.length > KEPT_DIGITS) list.firstElementChild.remove();
  return item;
}

function describe(item, ms, note) {
  item.querySelector("small").textContent = note;
  // 20 ms to 6 s on a logarithmic scale
  const share = Math.log(Math.max(Number(ms), 20) / 20) / Math.log(300);
  item.style.setProperty("--length", `${Math.min(100, Math.round(100 * share))}%`);
}

phone.addEventListener("tone", ({ detail: { tone, ms, via } }) => {
  toneChanges.push({ tone, time: performance.now() });
  describe(addDigit($("digits-sent"), tone, { ms, via }), ms, tone === "," ? "pause" : `${ms} ms`);
});

phone.addEventListener("digit", ({ detail }) => {
  const list = $("digits-received");
  const item =
    list.querySelector(`[data-event="${detail.event}"]`) ??
    addDigit(list, detail.digit, { event: detail.event, phase: "began" });
  item.dataset[detail.via] = "true";
  if (detail.phase === "ended") {
    item.dataset.phase = "ended";
    item.dataset.duration = detail.duration_ms;
  }
  if (item.dataset.phase === "ended") describe(item, item.dataset.duration, `${item.dataset.duration} ms`);
  else describe(item, 0, "…");
});

function press(digit) {
  if (phone.active) {
    phone.toneLength = $("tone-length").checkValidity() ? $("tone-length").valueAsNumber : 100;
    phone.sendTones(digit);
  } else {
    $("to").value += digit;
  }
}

// ---- calling and being called ---------------------------------------------------------------

function showIncoming() {
  const [first] = ringing.entries();
  $("incoming").hidden = first === undefined;
  $("caller").textContent = first ? first[1] || "unknown" : "";
  document.title = first ? "☎ Incoming call" : "Gateway phone";
}

signalling.addEventListener("message", ({ detail: message }) => {
  if (message.type === "call") ringing.set(message.call, message.from);
  if (message.type === "hangup") ringing.delete(message.call);
  showIncoming();
});

$("accept").addEventListener("click", () => {
  const [id] = ringing.keys();
  ringing.delete(id);
  showIncoming();
  phone.hangup(); // one call at a time
  attempt(() => phone.accept(id));
});
$("decline").addEventListener("click", () => {
  const [id] = ringing.keys();
  signalling.send("hangup", { call: id });
  ringing.delete(id);
  showIncoming();
});

$("call-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const to = $("to").value.trim();
  if (to && !phone.active) attempt(() => phone.call(to), to);
});
$("hangup").addEventListener("click", () => phone.hangup());
$("hold").addEventListener("click", async () => {
  $("hold").disabled = true;
  await attempt(() => phone.hold(!phone.held));
  showState(phone.state);
});
for (const chip of document.querySelectorAll("[data-to]")) {
  chip.addEventListener("click", () => {
    $("to").value = chip.dataset.to;
    $("to").focus();
  });
}
makeDialpad($("dialpad"), press);

// ---- signing in -----------------------------------------------------------------------------

function showIdentity() {
  const user = signalling.hello?.user ?? "";
  $("identity").textContent = user ? `as ${user}: phones can call you` : "";
}

signalling.addEventListener("connection", ({ detail }) => {
  $("connection").dataset.connection = detail;
  $("connection").textContent = CONNECTION_WORDS[detail];
  if (detail === "lost") ringing.clear();
  showIncoming();
  showIdentity();
});
signalling.addEventListener("refused", ({ detail }) => showError(callWords(detail)));
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = $("user").value.trim();
  sessionStorage.setItem(NAME_KEY, user);
  attempt(async () => {
    await signalling.signIn(user);
    showIdentity();
  });
});

/** The token of `#token=...`, which leaves the address bar and the history at once. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null) {
    sessionStorage.setItem(TOKEN_KEY, given);
    sessionStorage.removeItem(NAME_KEY); // it says who we are
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

const token = takeToken();
$("user").value = sessionStorage.getItem(NAME_KEY) ?? "";
signalling.connect($("user").value, token);
showState("idle");

/** For tests: the objects behind the page. */
window.gatewayPhone = {
  phone,
  signalling,
  toneChanges,
  get pc() {
    return phone.pc;
  },
  get sender() {
    return phone.sender;
  },
  get dtmf() {
    return phone.dtmf;
  },
  get callId() {
    return phone.callId;
  },
};
