// The stream of what happens in the conversation. It reconnects for ever: after network loss,
// a server restart, or sleep. Each connection begins with a snapshot, so nothing is missed.

import { renew } from "/static/api.js";

const KINDS = ["snapshot", "question", "partial", "final", "vote"];
const SILENCE_MS = 45000; // the server says something every 20 s
const LONGEST_WAIT_MS = 15000;

export class Stream {
  /** `on` maps kinds to handlers; `onState(connected)` tells when the line goes up or down. */
  constructor(on, onState) {
    this.on = on;
    this.onState = onState;
    this.failures = 0;
    this.parked = false;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.parked) this.open();
    });
    window.addEventListener("online", () => this.open());
  }

  /** Connect, dropping the connection there was. */
  open() {
    this.close();
    this.parked = false;
    const source = new EventSource("/api/events");
    this.source = source;
    this.listen();
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        this.listen();
        this.failures = 0;
        this.onState(true);
        this.on[kind](JSON.parse(event.data));
      });
    }
    source.addEventListener("ping", () => this.listen());
    // Another page of this browser began a new conversation: the cookie has changed.
    source.addEventListener("moved", () => this.again(500));
    // Too many pages are open: this one waits until somebody looks at it.
    source.addEventListener("superseded", () => {
      this.close();
      this.parked = true;
    });
    source.addEventListener("closing", () => this.fail());
    source.addEventListener("error", () => this.fail());
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  listen() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail(), SILENCE_MS);
  }

  fail() {
    this.close();
    this.onState(false);
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, 250 * 2 ** this.failures);
    this.again(wait * (0.5 + Math.random() / 2));
  }

  again(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      try {
        // EventSource hides why it failed; a missing session is the one cause we can mend.
        if (this.failures) await renew();
        this.open();
      } catch {
        this.fail();
      }
    }, wait);
  }
}
