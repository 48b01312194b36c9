// Messages on their way to the server. Each has an id of its own, so sending it again after a
// lost connection cannot ask twice; they are kept in the tab until the server has them.

import { call } from "/static/api.js";

const STORE = "deskhand.outbox";
const TRIES = 4; // when the server says it is busy; a lost network is retried for ever

export class Outbox {
  /** `on.sent(key)`, `on.waiting(key, reason)`, `on.refused(key, error)`. */
  constructor(on) {
    this.on = on;
    this.queue = [];
    this.busy = false;
    this.wake = null;
    window.addEventListener("online", () => this.wake?.());
  }

  /** Messages a reload left unsent. */
  restore() {
    try {
      this.queue = JSON.parse(sessionStorage.getItem(STORE) ?? "[]");
    } catch {
      this.queue = [];
    }
    this.run();
    return this.queue;
  }

  /** Send a text; returns its key. */
  add(text) {
    const key = crypto.randomUUID ? crypto.randomUUID() : randomKey();
    this.queue.push({ key, text });
    this.save();
    this.run();
    return key;
  }

  has(key) {
    return this.queue.some((message) => message.key === key);
  }

  /** The server is known to have it, by whatever way we learnt. */
  drop(key) {
    this.queue = this.queue.filter((message) => message.key !== key);
    this.save();
  }

  save() {
    try {
      sessionStorage.setItem(STORE, JSON.stringify(this.queue));
    } catch {
      // Storage may be forbidden or full; sending works without it.
    }
  }

  async run() {
    if (this.busy) return;
    this.busy = true;
    while (this.queue.length) await this.sendFirst();
    this.busy = false;
  }

  async sendFirst() {
    const { key, text } = this.queue[0];
    for (let attempt = 1; this.has(key); attempt += 1) {
      try {
        await call("POST", "/api/messages", { text, id: key });
        this.drop(key);
        this.on.sent(key);
      } catch (error) {
        const later = [0, 429, 502, 503, 504].includes(error.status);
        if (!later || (error.status !== 0 && attempt >= TRIES)) {
          this.drop(key);
          this.on.refused(key, error);
          return;
        }
        this.on.waiting(key, error);
        await this.pause(error.retryAfter || Math.min(15, 2 ** (attempt - 1)));
      }
    }
  }

  pause(seconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, seconds * 1000);
    });
  }
}

/** 128 random bits; `randomUUID` exists only on https and localhost. */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
