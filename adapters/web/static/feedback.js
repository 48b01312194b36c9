// 👍 and 👎 under an answer, with a reason and "what should it have said?".
// The vote counts at once; the form only adds to it. Pressing the thumb again withdraws it.

import { call } from "/static/api.js";
import { announce, icon, make } from "/static/html.js";

const REASONS = [
  "Not correct",
  "Out of date",
  "Did not answer my question",
  "Wrong source",
  "Hard to understand",
];

const THANKS = {
  "1": "Thank you. Good to know it helped.",
  "-1": "Thank you for telling us.",
  "0": "Your vote is withdrawn.",
};

const NOTHING = { value: 0, reason: "", correction: "" };

let forms = 0;

export class Feedback {
  constructor(reply, vote) {
    this.id = reply.answer_id;
    this.up = this.thumb("up", "Helpful", 1);
    this.down = this.thumb("thumb-down", "Not helpful", -1);
    this.thanks = make("span", { class: "thanks", role: "status" });
    this.more = make("button", { type: "button", class: "text" }, "");
    this.more.addEventListener("click", () => this.open());
    this.bar = make("div", { class: "bar", role: "group", "aria-label": "About this answer" });
    this.bar.append(this.up, this.down, this.thanks, this.more);
    this.form = null;
    this.element = make("div", { class: "feedback" }, this.bar);
    this.set(vote);
  }

  thumb(name, label, value) {
    const button = make(
      "button",
      { type: "button", class: "act", title: label, "aria-pressed": "false" },
      icon(name),
      make("span", { class: "unseen" }, label),
    );
    button.addEventListener("click", () => this.press(value));
    return button;
  }

  /** Show a vote as the server has it; a form somebody is writing in stays as it is. */
  set(vote) {
    this.vote = vote ?? NOTHING;
    const { value, reason, correction } = this.vote;
    this.up.setAttribute("aria-pressed", String(value === 1));
    this.down.setAttribute("aria-pressed", String(value === -1));
    const told = Boolean(reason || correction);
    this.more.hidden = value === 0 || this.form !== null;
    this.more.textContent = told ? "Change what you told us" : "Tell us more";
    if (value === 0) this.close();
  }

  async press(value) {
    const next = this.vote.value === value ? NOTHING : { ...NOTHING, value };
    if (!(await this.send(next))) return;
    if (next.value === -1) this.open();
    else this.close();
  }

  async send(vote) {
    const before = this.vote;
    this.set(vote);
    try {
      await call("POST", "/api/votes", { answer_id: this.id, ...vote });
    } catch (error) {
      this.set(before);
      this.say(`Not saved. ${error.message}`, true);
      return false;
    }
    this.say(THANKS[vote.value], false);
    return true;
  }

  say(text, wrong) {
    this.thanks.textContent = text;
    this.thanks.classList.toggle("wrong", wrong);
  }

  open() {
    if (this.form) return;
    this.form = this.vote.value < 0 ? this.complaint() : this.praise();
    this.element.append(this.form);
    this.more.hidden = true;
    this.form.querySelector("input, textarea").focus();
    this.form.scrollIntoView({ block: "nearest" });
  }

  close() {
    const inside = this.form?.contains(document.activeElement);
    this.form?.remove();
    this.form = null;
    this.more.hidden = this.vote.value === 0;
    if (inside) (this.vote.value < 0 ? this.down : this.up).focus();
  }

  complaint() {
    const [reason, note] = split(this.vote.reason);
    const name = `reason-${(forms += 1)}`;
    const chips = REASONS.map((text) => {
      const input = make("input", { type: "radio", name, value: text });
      input.checked = text === reason;
      return make("label", { class: "chip" }, input, make("span", {}, text));
    });
    const choices = make(
      "fieldset",
      {},
      make("legend", {}, "What was wrong?"),
      make("div", { class: "chips" }, ...chips),
    );
    const [noteField, noteLabel] = field("Anything else?", note, 900, 2);
    const [rightField, rightLabel] = field("What should it have said?", this.vote.correction, 4000, 3);
    return this.assembled([choices, noteLabel, rightLabel], () => {
      const chosen = choices.querySelector("input:checked")?.value ?? "";
      return {
        value: -1,
        reason: [chosen, noteField.value.trim()].filter(Boolean).join("\n"),
        correction: rightField.value.trim(),
      };
    });
  }

  praise() {
    const [noteField, noteLabel] = field("What was good about it?", this.vote.reason, 900, 2);
    return this.assembled([noteLabel], () => ({ value: 1, reason: noteField.value.trim(), correction: "" }));
  }

  assembled(fields, read) {
    const send = make("button", { type: "submit", class: "solid" }, "Send");
    const cancel = make("button", { type: "button", class: "text" }, "Not now");
    const form = make("form", { class: "tell" }, ...fields, make("div", { class: "row" }, send, cancel));
    cancel.addEventListener("click", () => this.close());
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // Escape elsewhere stops the answer
      this.close();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      const sent = await this.send(read());
      send.disabled = false;
      if (sent) {
        this.close();
        announce("Thank you. Your feedback is saved.");
      }
    });
    return form;
  }
}

function field(label, value, longest, rows) {
  const area = make("textarea", { rows, maxlength: longest, dir: "auto" });
  area.value = value;
  return [area, make("label", { class: "field" }, make("span", {}, label), area)];
}

/** The stored reason is the chip's text, then the person's own words. */
function split(stored) {
  const [first, ...rest] = stored.split("\n");
  return REASONS.includes(first) ? [first, rest.join("\n")] : ["", stored];
}
