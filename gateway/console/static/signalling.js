// The signalling WebSocket: requests with replies, pushed messages, and coming back when it breaks.

const VERSION = 1;
const REPLY_TIMEOUT = 20_000; // ms
const RETRY_FIRST = 500; // ms
const RETRY_MOST = 8_000; // ms
const SIGNED_OUT = 4001; // see docs/signalling.md

/** A request that the gateway refused; `code` and `reason` are its verdict. */
export class SignalError extends Error {
  constructor(code, message, reason = null) {
    super(message);
    this.name = "SignalError";
    this.code = code;
    this.reason = reason;
  }
}

/**
 * Events: `connection` (detail: "connecting" | "open" | "lost"), `refused` (detail: code and text),
 * `message` (detail: the message) for everything that is no reply.
 */
export class Signalling extends EventTarget {
  #socket = null;
  #waiting = new Map(); // message id -> {resolve, reject, timer}
  #serial = 0;
  #retry = RETRY_FIRST;
  #user = "";
  #token = "";
  hello = null; // the gateway's hello: session, user, ice_servers

  /** Connects, and stays connected; `user` is the name to sign in under, `token` says who we are. */
  connect(user = "", token = "") {
    this.#user = user;
    this.#token = token;
    this.#open();
  }

  /** Changes the name under which this tab can be called. */
  async signIn(user) {
    this.hello = await this.request("hello", { user });
    this.#user = user;
    return this.hello;
  }

  get open() {
    return this.hello !== null && this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Sends a message that has no reply. */
  send(type, fields = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({ v: VERSION, type, ...fields }));
  }

  /** Sends a message and resolves with its reply; rejects with SignalError. */
  request(type, fields = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new SignalError("offline", "There is no connection to the gateway."));
    }
    const id = `m${++this.#serial}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new SignalError("timeout", "The gateway did not reply."));
      }, REPLY_TIMEOUT);
      this.#waiting.set(id, { resolve, reject, timer });
      this.send(type, { id, ...fields });
    });
  }

  #open() {
    this.#announce("connecting");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    // The one header of a WebSocket that a page can set: the server takes the first of these.
    const protocols = this.#token ? ["gateway", `token.${this.#token}`] : ["gateway"];
    const socket = new WebSocket(`${scheme}//${location.host}/v1/signal`, protocols);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#greet());
    socket.addEventListener("message", (event) => this.#read(event.data));
    socket.addEventListener("close", ({ code, reason }) => this.#lost(code, reason));
  }

  async #greet() {
    try {
      this.hello = await this.request("hello", { user: this.#user });
    } catch {
      this.#socket.close();
      return;
    }
    this.#retry = RETRY_FIRST;
    this.#announce("open");
  }

  #read(text) {
    const message = JSON.parse(text);
    const waiting = this.#waiting.get(message.in_reply_to);
    if (waiting === undefined) {
      this.dispatchEvent(new CustomEvent("message", { detail: message }));
      return;
    }
    clearTimeout(waiting.timer);
    this.#waiting.delete(message.in_reply_to);
    if (message.type === "error") {
      waiting.reject(new SignalError(message.code, message.message, message.reason ?? null));
    } else {
      waiting.resolve(message);
    }
  }

  /** A WebSocket does not tell why it was refused: asks again by HTTP, which does. */
  async #askWhy() {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const response = await fetch("/v1/signal", { headers });
    if (response.status !== 401) return;
    const { code, detail } = await response.json();
    this.dispatchEvent(new CustomEvent("refused", { detail: { code, text: detail } }));
  }

  #lost(code, text) {
    if (this.hello === null) this.#askWhy().catch(() => {}); // offline: that is told already
    this.hello = null;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new SignalError("offline", "The connection to the gateway was lost."));
    }
    this.#waiting.clear();
    this.#announce("lost");
    if (code === SIGNED_OUT) {
      this.dispatchEvent(new CustomEvent("refused", { detail: { code: "signed_out", text } }));
      return; // by an operator, who would see the user come back at once
    }
    setTimeout(() => this.#open(), this.#retry);
    this.#retry = Math.min(2 * this.#retry, RETRY_MOST);
  }

  #announce(connection) {
    this.dispatchEvent(new CustomEvent("connection", { detail: connection }));
  }
}
