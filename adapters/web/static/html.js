// The only place where text becomes elements. `html` here is made and cleaned by the server
// (render.py); everything a person wrote goes through textContent instead.

const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("deskhand", { createHTML: (html) => html })
  : { createHTML: (html) => html };

/** Parse server-made HTML into nodes. */
function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

/** Show server-made HTML in `target`, keeping leading blocks that did not change. */
export function showHtml(target, html) {
  const next = [...parsed(html).childNodes];
  const now = [...target.childNodes];
  let same = 0;
  while (same < next.length && same < now.length && next[same].isEqualNode(now[same])) same += 1;
  for (const old of now.slice(same)) old.remove();
  target.append(...next.slice(same));
}

/** An element with attributes and children. A `null` attribute is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** One of the page's own icons (templates/icons.svg). */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Say something to screen readers that sighted people see elsewhere. */
export function announce(text) {
  const region = document.getElementById("announcer");
  region.textContent = "";
  requestAnimationFrame(() => {
    region.textContent = text;
  });
}
