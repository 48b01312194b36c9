// The chat page: connects the stream, the outbox, the composer and the panel.

import { call } from "/static/api.js";
import { Composer } from "/static/composer.js";
import { Exchange, suggestion } from "/static/exchange.js";
import { announce, make } from "/static/html.js";
import { Outbox } from "/static/outbox.js";
import { Panel } from "/static/panel.js";
import { Stream } from "/static/stream.js";

const log = document.getElementById("log");
const welcome = document.getElementById("welcome");
const newButton = document.getElementById("new");
const jump = document.getElementById("jump");
const connection = document.getElementById("connection");

/** Exchanges by key, in the order they are shown. */
const exchanges = new Map();
/** News of questions whose own announcement is still on its way. */
const early = new Map();

const panel = new Panel();
const composer = new Composer({ send: ask, stop });
const outbox = new Outbox({
  sent: (key) => update(key, (exchange) => exchange.accepted()),
  waiting: (key, error) =>
    update(key, (exchange) =>
      exchange.waiting(error.status === 0 ? "No connection. It is sent as soon as there is one." : error.message),
    ),
  refused: (key, error) => update(key, (exchange) => exchange.refused(error)),
});
const stream = new Stream({ snapshot, question, partial, final, vote }, connected);

/** The last part of an event's id is the key that this page, or another one, made for it. */
const keyOf = (eventId) => eventId.slice(eventId.lastIndexOf(":") + 1);

function ask(text) {
  const key = outbox.add(text);
  place(key, text);
  refresh();
  scrollToEnd("smooth");
}

function place(key, text) {
  let exchange = exchanges.get(key);
  if (!exchange) {
    exchange = new Exchange(key, text, {
      ask: (suggested) => {
        ask(suggested);
        composer.focus();
      },
      retry: (failed) => {
        if (failed.reply === null) remove(failed.key);
        ask(failed.text);
        composer.focus();
      },
      edit: (failed) => {
        remove(failed.key);
        composer.edit(failed.text);
        refresh();
      },
      source: (cited, number, opener) => panel.open(cited.reply, number, opener),
    });
    exchanges.set(key, exchange);
    log.append(exchange.element);
  }
  return exchange;
}

function remove(key) {
  exchanges.get(key)?.element.remove();
  exchanges.delete(key);
}

/** Change an exchange, and keep the end in view if it was. */
function update(key, change) {
  const exchange = exchanges.get(key);
  if (!exchange) return;
  const following = nearEnd();
  change(exchange);
  refresh();
  if (following) scrollToEnd("instant");
  showJump();
}

function refresh() {
  const empty = exchanges.size === 0;
  if (empty && welcome.hidden) suggest();
  welcome.hidden = !empty;
  newButton.hidden = empty;
  composer.running([...exchanges.values()].some((exchange) => exchange.running));
}

// What the stream tells

function snapshot({ exchanges: shown, live }) {
  const first = log.getAttribute("aria-live") === "off";
  const following = first || nearEnd();
  const known = new Set(shown.map(({ event_id }) => keyOf(event_id)));
  for (const [key, exchange] of [...exchanges]) {
    // Gone with the conversation, unless it is still to be sent or waits for a person.
    const answered = exchange.reply !== null || !exchange.answer.hidden;
    if (!known.has(key) && !outbox.has(key) && answered) remove(key);
  }
  for (const { event_id, text, reply, vote: mine } of shown) {
    const key = keyOf(event_id);
    outbox.drop(key);
    const exchange = place(key, text);
    if (reply) exchange.final(reply, mine);
    else exchange.accepted();
  }
  for (const state of live) exchanges.get(keyOf(state.event_id))?.partial(state);
  refresh();
  if (following) scrollToEnd("instant");
  showJump();
  // Only what comes from now on is news worth reading out.
  if (first) requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
}

function question({ event_id, text }) {
  const key = keyOf(event_id);
  outbox.drop(key);
  place(key, text);
  update(key, (exchange) => exchange.accepted());
  for (const tell of early.get(key) ?? []) tell();
  early.delete(key);
}

function partial(state) {
  const key = keyOf(state.event_id);
  known(key, () => update(key, (exchange) => exchange.partial(state)));
}

function final({ event_id, reply }) {
  const key = keyOf(event_id);
  if (key.startsWith("staff-")) place(key, "");
  known(key, () => update(key, (exchange) => exchange.final(reply)));
}

function vote({ answer_id, vote: mine }) {
  for (const exchange of exchanges.values()) {
    if (exchange.reply?.answer_id === answer_id) exchange.feedback.set(mine);
  }
}

/** Do it now, or when the question it is about has been announced. */
function known(key, tell) {
  if (exchanges.has(key)) tell();
  else early.set(key, [...(early.get(key) ?? []), tell]);
}

let lost;
function connected(yes) {
  clearTimeout(lost);
  if (yes) connection.textContent = "";
  // A short break is nobody's business.
  else lost = setTimeout(() => (connection.textContent = "Reconnecting…"), 1500);
}

// What the person does

async function stop() {
  try {
    await call("POST", "/api/stop");
    announce("Stopped.");
  } catch (error) {
    announce(error.message);
  }
}

async function startAnew() {
  newButton.disabled = true;
  try {
    await call("POST", "/api/conversation/new");
    if (panel.shown) panel.close();
    for (const key of [...exchanges.keys()]) remove(key);
    stream.open();
    refresh();
    announce("New conversation.");
    composer.focus();
  } catch (error) {
    announce(error.message);
    connection.textContent = error.message;
  }
  newButton.disabled = false;
}

async function suggest() {
  let texts = [];
  try {
    ({ suggestions: texts } = await call("GET", "/api/suggestions"));
  } catch {
    return; // the page works without them
  }
  document.getElementById("suggestions").replaceChildren(
    ...texts.map((text) => make("li", {}, suggestion(text))),
  );
  document.getElementById("starters").hidden = texts.length === 0;
}

function switchTheme() {
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  root.dataset.theme = next;
  try {
    localStorage.setItem("deskhand.theme", next);
  } catch {
    // Storage may be forbidden; the choice lasts until the page is left.
  }
}

// Scrolling

function nearEnd() {
  const { scrollHeight, scrollTop, clientHeight } = document.documentElement;
  return scrollHeight - scrollTop - clientHeight < 120;
}

function scrollToEnd(behavior) {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  window.scrollTo({ top: document.documentElement.scrollHeight, behavior: calm ? "instant" : behavior });
}

function showJump() {
  jump.hidden = exchanges.size === 0 || nearEnd();
}

welcome.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-ask]");
  if (!button) return;
  ask(button.dataset.ask);
  composer.focus();
});
newButton.addEventListener("click", startAnew);
jump.addEventListener("click", () => {
  scrollToEnd("smooth");
  composer.focus();
});
document.getElementById("theme").addEventListener("click", switchTheme);
window.addEventListener("scroll", showJump, { passive: true });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (panel.shown) panel.close();
  else if (!composer.stop.hidden) stop();
});

for (const { key, text } of outbox.restore()) place(key, text);
stream.open();
if (window.matchMedia("(pointer: fine)").matches) composer.focus(); // a phone would open its keyboard
