// The source behind a number: beside the conversation on a wide screen, a sheet on a phone.

import { call } from "/static/api.js";
import { icon, make, showHtml } from "/static/html.js";

const WIDE = window.matchMedia("(min-width: 68rem)");

export class Panel {
  constructor() {
    this.dialog = document.getElementById("panel");
    this.title = document.getElementById("panel-title");
    this.number = document.getElementById("panel-number");
    this.body = document.getElementById("panel-body");
    this.opener = null;
    document.getElementById("panel-close").addEventListener("click", () => this.close());
    this.dialog.addEventListener("close", () => this.closed());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.close(); // the shade around the sheet
    });
  }

  get shown() {
    return this.dialog.open;
  }

  /** Show citation `number` of a reply; focus comes back to `opener` afterwards. */
  async open(reply, number, opener) {
    const cited = reply.citations.find((citation) => citation.number === number);
    if (!cited) return;
    if (this.shown) this.dialog.close();
    this.opener = opener;
    this.opener.classList.add("open");
    this.number.textContent = String(number);
    this.title.textContent = cited.title || cited.source;
    this.body.replaceChildren(...basics(cited));
    if (WIDE.matches) this.dialog.show();
    else this.dialog.showModal();
    document.body.classList.toggle("beside", WIDE.matches);
    this.body.scrollTop = 0;
    this.title.focus();
    await this.context(reply.answer_id, number, cited.quote, opener);
  }

  close() {
    this.dialog.close();
  }

  closed() {
    document.body.classList.remove("beside");
    this.opener?.classList.remove("open");
    if (this.opener?.isConnected) this.opener.focus();
    this.opener = null;
  }

  /** Add the whole passage. The quote is shown already, so a failure here is no loss. */
  async context(answerId, number, quote, opener) {
    let passage;
    try {
      passage = await call("GET", `/api/answers/${encodeURIComponent(answerId)}/sources/${number}`);
    } catch (error) {
      if (this.opener === opener && error.status === 404) {
        this.body.append(make("p", { class: "gone" }, error.message));
      }
      return;
    }
    if (this.opener !== opener) return; // another source was opened meanwhile
    const prose = make("div", { class: "prose", dir: "auto" });
    showHtml(prose, passage.html);
    const heading = make("h3", {}, "In context");
    const trail = passage.path.filter((step) => step !== passage.title);
    this.body.append(heading);
    if (trail.length) this.body.append(make("p", { class: "trail", dir: "auto" }, trail.join(" › ")));
    this.body.append(prose);
    highlight(prose, quote);
  }
}

function basics({ source, url, quote }) {
  const parts = [];
  if (quote) parts.push(make("blockquote", { class: "quote", dir: "auto" }, make("mark", {}, quote)));
  const where = make("p", { class: "where" }, make("span", { class: "path", dir: "auto" }, source));
  if (url) {
    const link = make(
      "a",
      { href: url, target: "_blank", rel: "noopener noreferrer nofollow" },
      url.startsWith("mailto:") ? "Write to this address" : "Open the page",
      icon("out"),
    );
    where.append(link);
  }
  parts.push(where);
  return parts;
}

/** Mark the quoted sentence inside the passage, where the browser can (CSS highlights). */
function highlight(root, quote) {
  if (!quote || !window.CSS?.highlights) return;
  CSS.highlights.delete("quote");
  const letters = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data } = walker.currentNode;
    for (let i = 0; i < data.length; i += 1) {
      if (matters(data[i])) letters.push([walker.currentNode, i]);
    }
  }
  const text = letters.map(([node, i]) => node.data[i]).join("");
  const wanted = [...quote].filter(matters).join("");
  const at = wanted ? text.indexOf(wanted) : -1;
  if (at < 0) return;
  const range = new Range();
  range.setStart(...letters[at]);
  const [node, i] = letters[at + wanted.length - 1];
  range.setEnd(node, i + 1);
  CSS.highlights.set("quote", new Highlight(range));
}

/** Spaces and Markdown's marks differ between a quote and what is shown. */
function matters(char) {
  return !/[\s*_`#>|\\]/.test(char);
}
