// The box one writes in: grows with the text, Enter sends, and a draft survives a reload.

const DRAFT = "deskhand.draft";

export class Composer {
  /** `on.send(text)`, `on.stop()`. */
  constructor(on) {
    this.form = document.getElementById("composer");
    this.area = document.getElementById("question");
    this.stop = document.getElementById("stop");
    this.sendButton = document.getElementById("send");
    this.count = document.getElementById("count");
    this.longest = Number(document.body.dataset.longest);
    this.on = on;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.area.addEventListener("input", () => this.changed());
    this.area.addEventListener("keydown", (event) => {
      // While an input method composes, Enter picks a candidate.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    this.stop.addEventListener("click", () => {
      this.area.focus(); // the button is about to go
      on.stop();
    });
    this.area.value = stored();
    this.changed();
  }

  focus() {
    this.area.focus({ preventScroll: true });
  }

  /** Put a text into the box for editing. */
  edit(text) {
    this.area.value = text;
    this.changed();
    this.focus();
  }

  /** While an answer is made, the stop button takes the place of an idle send button. */
  running(yes) {
    this.stop.hidden = !yes;
    this.sendButton.hidden = yes && !this.area.value.trim();
  }

  send() {
    const text = this.area.value.trim();
    if (!text || length(text) > this.longest) return;
    this.area.value = "";
    this.changed();
    this.on.send(text);
  }

  changed() {
    const { area } = this;
    const size = length(area.value.trim());
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
    this.running(!this.stop.hidden);
    this.sendButton.disabled = size === 0 || size > this.longest;
    const over = size > this.longest;
    const format = (number) => number.toLocaleString("en");
    this.count.textContent =
      size > this.longest * 0.9 ? `${format(size)} of ${format(this.longest)} characters` : "";
    this.count.classList.toggle("wrong", over);
    area.setAttribute("aria-invalid", String(over));
    try {
      sessionStorage.setItem(DRAFT, area.value);
    } catch {
      // Storage may be forbidden; only the draft is lost on a reload.
    }
  }
}

/** Characters as the server counts them: code points. */
function length(text) {
  return [...text].length;
}

function stored() {
  try {
    return sessionStorage.getItem(DRAFT) ?? "";
  } catch {
    return "";
  }
}
