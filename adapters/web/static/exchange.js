// One question and its answer on the page, from "sending" to the last word.

import { Feedback } from "/static/feedback.js";
import { announce, icon, make, showHtml } from "/static/html.js";

const TITLE = document.body.dataset.title;

const TAGS = {
  abstained: "Not in our documentation",
  stopped: "Stopped",
  busy: "Too busy to answer",
  failed: "Something went wrong",
};

export class Exchange {
  /** `on.ask(text)`, `on.retry(exchange)`, `on.edit(exchange)`, `on.source(exchange, number)`. */
  constructor(key, text, on) {
    this.key = key;
    this.text = text;
    this.on = on;
    this.reply = null;
    this.note = make("div", { class: "note", role: "status" });
    this.status = make("span", { class: "status" });
    this.prose = make("div", { class: "prose", dir: "auto" });
    this.after = make("div", { class: "after" });
    this.tag = make("span", { class: "tag" });
    this.tag.hidden = true;
    const mark = icon("mark");
    mark.setAttribute("class", "mark");
    const byline = make("div", { class: "byline" }, mark, make("h3", {}, TITLE), this.status, this.tag);
    this.answer = make("div", { class: "answer", "aria-busy": "true" }, byline, this.prose, this.after);
    this.answer.hidden = true;
    // What staff write comes without a question of its own.
    this.staff = text === "" && key.startsWith("staff-");
    this.element = make(
      "article",
      { class: "exchange" },
      make(
        "div",
        { class: "asked" },
        make("h2", { class: "unseen" }, "You asked"),
        make("div", { class: "bubble", dir: "auto" }, text),
        this.note,
      ),
      this.answer,
    );
    if (this.staff) {
      this.element.querySelector(".asked").hidden = true;
      byline.querySelector("h3").textContent = "Our team";
    }
    this.element.addEventListener("click", (event) => this.clicked(event));
  }

  get running() {
    return !this.answer.hidden && this.reply === null;
  }

  /** It has not reached the server yet; `why` is shown when that takes long. */
  waiting(why) {
    this.note.replaceChildren(why);
  }

  /** The server has it. */
  accepted() {
    if (this.reply !== null) return;
    this.note.replaceChildren();
    this.answer.hidden = false;
    if (!this.status.textContent) this.working("One moment…");
  }

  /** The server would not take it. */
  refused(error) {
    const again = make("button", { type: "button", class: "text", "data-do": "retry" }, "Try again");
    const edit = make("button", { type: "button", class: "text", "data-do": "edit" }, "Edit");
    this.note.replaceChildren(make("span", { class: "wrong" }, `Not sent. ${error.message}`), again, edit);
  }

  working(text) {
    this.status.textContent = text;
    this.answer.classList.add("working");
  }

  /** What the answer looks like so far. */
  partial({ status, html }) {
    if (this.reply !== null) return;
    this.accepted();
    if (html) {
      showHtml(this.prose, html);
      this.answer.classList.add("writing");
    }
    if (status) this.working(status);
  }

  /** The whole answer. Told again, it changes nothing but the vote. */
  final(reply, vote = null) {
    if (this.reply?.answer_id === reply.answer_id) {
      this.feedback.set(vote);
      return;
    }
    this.accepted();
    this.reply = reply;
    this.status.textContent = "";
    this.answer.classList.remove("working", "writing");
    this.answer.dataset.outcome = reply.outcome;
    this.prose.lang = reply.lang;
    showHtml(this.prose, reply.html);
    for (const chip of this.prose.querySelectorAll("button.cite")) {
      chip.setAttribute("aria-haspopup", "dialog");
    }
    if (reply.outcome === "handed" && !reply.text) {
      // A person of the team has it; their reply comes as a message of its own.
      this.answer.hidden = true;
      this.waiting("Sent to our team.");
    }
    this.feedback = new Feedback(reply, vote);
    this.after.replaceChildren(...this.tail(reply));
    this.answer.setAttribute("aria-busy", "false");
  }

  tail(reply) {
    const parts = [];
    this.tag.textContent = reply.curated ? "Written by our team" : (TAGS[reply.outcome] ?? "");
    this.tag.hidden = !this.tag.textContent;
    if (reply.outcome === "busy" || reply.outcome === "failed") parts.push(again());
    // An abstention names the nearest pages itself; it rests on none of them.
    if (reply.citations.length && reply.outcome !== "abstained") parts.push(this.sources(reply.citations));
    if (reply.suggestions.length) parts.push(this.suggestions(reply.suggestions));
    if (reply.text.trim() && reply.outcome !== "handed") {
      this.feedback.bar.prepend(this.copyButton());
      parts.push(this.feedback.element);
    }
    return parts;
  }

  sources(citations) {
    const list = make("ol", { class: "sources" });
    for (const { number, title, source } of citations) {
      const button = make(
        "button",
        { type: "button", class: "source", "data-cite": number, "aria-haspopup": "dialog" },
        make("span", { class: "number" }, make("span", { class: "unseen" }, "Source "), String(number)),
        make("span", { class: "name", dir: "auto" }, title || source),
        make("span", { class: "where", dir: "auto" }, source),
      );
      list.append(make("li", {}, button));
    }
    return make("section", { class: "cited" }, make("h4", {}, citations.length > 1 ? "Sources" : "Source"), list);
  }

  suggestions(texts) {
    const list = make("ul", { class: "suggestions" });
    list.append(...texts.map((text) => make("li", {}, suggestion(text))));
    return make("section", { class: "near" }, make("h4", {}, "Perhaps one of these helps"), list);
  }

  copyButton() {
    const label = make("span", { class: "unseen" }, "Copy answer");
    const button = make("button", { type: "button", class: "act", title: "Copy answer", "data-do": "copy" }, icon("copy"), label);
    this.copy = async () => {
      const done = await copied(this.plain());
      button.replaceChildren(icon(done ? "check" : "copy"), label);
      announce(done ? "Answer copied." : "The browser did not allow copying.");
      setTimeout(() => button.replaceChildren(icon("copy"), label), 2000);
    };
    return button;
  }

  /** The answer with its sources, for pasting elsewhere. */
  plain() {
    const sources = this.reply.citations.map(
      ({ number, title, source, url }) => `[${number}] ${title} (${url || source})`,
    );
    return [this.reply.text.trim(), sources.join("\n")].filter(Boolean).join("\n\n");
  }

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.cite) this.on.source(this, Number(button.dataset.cite), button);
    if (button.dataset.ask) this.on.ask(button.dataset.ask);
    if (button.dataset.do === "retry") this.on.retry(this);
    if (button.dataset.do === "edit") this.on.edit(this);
    if (button.dataset.do === "copy") this.copy();
  }
}

/** A button that asks the same question anew. */
function again() {
  const button = make("button", { type: "button", class: "text", "data-do": "retry" }, icon("retry"), "Ask again");
  return make("p", { class: "again" }, button);
}

/** A button that asks `text`. */
export function suggestion(text) {
  return make(
    "button",
    { type: "button", class: "suggestion", "data-ask": text },
    make("span", { dir: "auto" }, text),
    icon("arrow"),
  );
}

/** Put text on the clipboard; tells whether it worked. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https there is no clipboard API; the old way still works.
    const field = make("textarea", { class: "unseen", readonly: "" });
    field.value = text;
    const before = document.activeElement;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}
