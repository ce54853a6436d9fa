// One call at a time: microphone, peer connection, hold, tones, and what the gateway says of it.

import { SignalError } from "./signalling.js";

export const TONE_GAP = 70; // ms between tones
const MICROPHONE = { audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } };

/** A microphone that cannot be used; the message says why, in words. */
export class MicrophoneError extends Error {
  constructor(cause) {
    super(microphoneWords(cause), { cause });
    this.name = "MicrophoneError";
  }
}

function microphoneWords(cause) {
  switch (cause?.name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The microphone was denied. Allow it for this page in the browser, then call again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Connect one, then call again.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone is in use by another program, or does not work.";
    default:
      return "This browser gives no microphone here: the page must come from https or localhost.";
  }
}

async function openMicrophone() {
  try {
    return await navigator.mediaDevices.getUserMedia(MICROPHONE);
  } catch (error) {
    throw new MicrophoneError(error);
  }
}

/**
 * Events: `state` (detail: {state, reason, media}), `microphone` (detail: MediaStream or null),
 * `audio` (detail: MediaStream of the far end), `tone` (detail: {tone, ms, via}), `digit` (detail:
 * the message, with `via`: "websocket" | "channel"), `hold` (detail: boolean), `trouble` (detail: words).
 */
export class Phone extends EventTarget {
  #signalling;
  #microphone = null;
  #early = []; // candidates found before the call has an id
  #attempt = 0; // an older attempt that was hung up must not go on
  #queued = new Map(); // messages about a call whose answer is still on its way
  #hungUp = false; // here, so the gateway's reason is no news
  state = "idle";
  callId = null;
  pc = null;
  channel = null;
  held = false;
  toneLength = 100; // ms
  #insertedLength = 100; // ms, of the tones that the browser is playing out

  constructor(signalling) {
    super();
    this.#signalling = signalling;
    signalling.addEventListener("message", (event) => this.#hear(event.detail, "websocket"));
    signalling.addEventListener("connection", (event) => {
      if (event.detail === "lost" && this.active) {
        this.#end({ code: "offline", text: "The connection to the gateway was lost." });
      }
    });
  }

  get active() {
    return this.state !== "idle" && this.state !== "ended";
  }

  /** The RTCRtpSender of the microphone. */
  get sender() {
    return this.pc?.getSenders().find((sender) => sender.track?.kind === "audio") ?? null;
  }

  get dtmf() {
    return this.sender?.dtmf ?? null;
  }

  /** Calls a destination. Rejects with MicrophoneError or SignalError; the phone is idle then. */
  async call(to) {
    await this.#start((sdp) => this.#signalling.request("call", { to, sdp }));
  }

  /** Accepts the incoming call `id`. Rejects as `call` does. */
  async accept(id) {
    this.callId = id;
    await this.#start((sdp) => this.#signalling.request("answer", { call: id, sdp }), id);
  }

  /** Ends the call; before it has an id, the attempt. */
  hangup() {
    if (!this.active) return;
    this.#hungUp = true;
    if (this.callId === null) {
      this.#end(null);
    } else {
      this.#signalling.send("hangup", { call: this.callId });
      this.#close();
    }
  }

  /** Puts the far end on hold, or takes it back: sendonly and a silent microphone (RFC 3264 8.4). */
  async hold(on) {
    const transceiver = this.pc?.getTransceivers().find((each) => each.sender === this.sender);
    if (!transceiver || this.callId === null) return;
    transceiver.direction = on ? "sendonly" : "sendrecv";
    transceiver.sender.track.enabled = !on;
    await this.pc.setLocalDescription();
    const { sdp } = this.pc.localDescription;
    try {
      const answer = await this.#signalling.request("call", { call: this.callId, sdp });
      await this.pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    } catch (error) {
      if (this.pc?.signalingState === "have-local-offer") {
        await this.pc.setLocalDescription({ type: "rollback" });
      }
      if (this.pc) {
        transceiver.direction = on ? "sendrecv" : "sendonly";
        transceiver.sender.track.enabled = on;
      }
      throw error;
    }
    this.held = on;
    this.#tell("hold", on);
  }

  /** Sends tones (0-9 A-D # * and `,`), after those that are still waiting. Times in ms. */
  sendTones(tones, ms = this.toneLength, gap = TONE_GAP) {
    if (this.callId === null) return;
    if (this.dtmf?.canInsertDTMF) {
      this.#insertedLength = ms;
      this.dtmf.insertDTMF(this.dtmf.toneBuffer + tones, ms, gap);
    } else {
      this.#signalling.send("dtmf", { call: this.callId, tones, duration: ms, gap });
      for (const tone of tones) this.#tell("tone", { tone, ms, via: "signalling" });
    }
  }

  /** What the browser sends, e.g. `opus/48000`; empty while unknown. */
  async codec() {
    const stats = await this.pc?.getStats();
    for (const report of stats?.values() ?? []) {
      if (report.type !== "outbound-rtp" || report.kind !== "audio") continue;
      const codec = stats.get(report.codecId);
      if (codec) return `${codec.mimeType.split("/")[1].toLowerCase()}/${codec.clockRate}`;
    }
    return "";
  }

  async #start(request, id = null) {
    const attempt = ++this.#attempt;
    this.callId = id;
    this.#hungUp = false;
    this.#become("connecting");
    try {
      const microphone = await openMicrophone();
      if (attempt !== this.#attempt) return stop(microphone);
      this.#microphone = microphone;
      this.#tell("microphone", microphone);
      const pc = this.#connection(microphone);
      await pc.setLocalDescription();
      const answer = await request(pc.localDescription.sdp);
      if (attempt !== this.#attempt) {
        this.#signalling.send("hangup", { call: answer.call });
        return undefined;
      }
      await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      if (attempt !== this.#attempt) return undefined;
      this.#established(answer.call);
    } catch (error) {
      if (attempt !== this.#attempt) return undefined;
      // An incoming call that cannot be accepted must not ring on.
      if (id !== null && !(error instanceof SignalError)) this.#signalling.send("hangup", { call: id });
      this.#end(null, "idle");
      throw error;
    }
    return undefined;
  }

  #connection(microphone) {
    const pc = new RTCPeerConnection({
      iceServers: this.#signalling.hello?.ice_servers ?? [],
      bundlePolicy: "max-bundle",
    });
    this.pc = pc;
    this.#early = [];
    this.channel = pc.createDataChannel("gateway");
    this.channel.addEventListener("message", (event) => this.#hear(JSON.parse(event.data), "channel"));
    const sender = pc.addTrack(microphone.getAudioTracks()[0], microphone);
    sender.dtmf?.addEventListener("tonechange", (event) => {
      if (event.tone) this.#tell("tone", { tone: event.tone, ms: this.#insertedLength, via: "rtp" });
    });
    pc.addEventListener("icecandidate", ({ candidate }) => this.#trickle(candidate));
    pc.addEventListener("track", ({ streams, track }) => {
      this.#tell("audio", streams[0] ?? new MediaStream([track]));
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc !== this.pc || pc.connectionState !== "failed") return;
      this.#signalling.send("hangup", { call: this.callId, reason: "ice failed" });
      this.#end({ code: "media_lost", text: "The audio connection to the gateway failed." });
    });
    return pc;
  }

  #trickle(candidate) {
    const message = candidate
      ? { candidate: candidate.candidate, mid: candidate.sdpMid }
      : { candidate: null };
    if (this.callId === null) this.#early.push(message);
    else this.#signalling.send("candidate", { call: this.callId, ...message });
  }

  #established(id) {
    this.callId = id;
    const queued = this.#queued.get(id) ?? [];
    this.#queued.clear();
    for (const { message, via } of queued) this.#hear(message, via);
    if (this.callId !== id) return; // it ended meanwhile
    for (const message of this.#early.splice(0)) {
      this.#signalling.send("candidate", { call: id, ...message });
    }
  }

  #hear(message, via) {
    if (!["state", "dtmf", "hangup", "error"].includes(message.type)) return;
    if (this.callId === null && this.active && message.call) {
      const queue = this.#queued.get(message.call) ?? [];
      this.#queued.set(message.call, [...queue, { message, via }]);
      return;
    }
    if (message.call && message.call !== this.callId) return; // of a call that is over
    if (message.type === "error") {
      this.#tell("trouble", message.message);
    } else if (message.type === "dtmf") {
      this.#tell("digit", { ...message, via });
    } else if (message.type === "hangup" || message.state === "ended") {
      this.#end(message.reason);
    } else {
      this.#become(message.state, { media: message.media });
    }
  }

  #become(state, { reason = null, media = "" } = {}) {
    this.state = state;
    this.#tell("state", { state, reason, media });
  }

  #end(reason, state = "ended") {
    this.callId = null;
    this.#close();
    this.#become(state, { reason: this.#hungUp ? { code: "normal", text: "You hung up" } : reason });
  }

  // Lets go of the browser's side; the call itself ends when the gateway says so.
  #close() {
    this.#attempt += 1;
    this.pc?.close();
    this.pc = this.channel = null;
    this.#queued.clear();
    if (this.held) {
      this.held = false;
      this.#tell("hold", false);
    }
    if (this.#microphone) {
      stop(this.#microphone);
      this.#microphone = null;
      this.#tell("microphone", null);
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
